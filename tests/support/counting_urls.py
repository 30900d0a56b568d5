import asyncio

from django.http import JsonResponse
from django.urls import path

from project.urls import urlpatterns as true_patterns


async def tasks(request):
    return JsonResponse(len(asyncio.all_tasks()), safe=False)


urlpatterns = [path("tasks/", tasks), *true_patterns]
