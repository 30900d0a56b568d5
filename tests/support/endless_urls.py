"""The project's URLs, with server-sent-events of a thousand events, and how many listen to them."""

from django.http import HttpResponse
from django.urls import path

from comparisons.pairs import server_sent_events
from project.urls import urlpatterns as true_patterns

server_sent_events.EVENTS = 1000


async def listeners(request):
    count = str(len(server_sent_events.LISTENERS))
    return HttpResponse(count, headers={"Content-Length": len(count)})


urlpatterns = [path("listeners/", listeners), *true_patterns]
