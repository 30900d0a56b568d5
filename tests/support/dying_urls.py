"""The project's URLs, with one view, LIE, that kills its server at its twentieth request."""

import itertools
import os
import signal

from django.http import JsonResponse
from django.urls import path

from project.urls import urlpatterns as true_patterns

requests = itertools.count(1)


async def dying(request):
    if next(requests) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return JsonResponse({})


urlpatterns = [path(f"{os.environ['LIE']}/", dying), *true_patterns]
