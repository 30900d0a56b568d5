import asyncio

from django.http import JsonResponse, StreamingHttpResponse


async def stream(request):
    """Send five server-sent events in half a second."""

    async def events():
        for number in range(5):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.1)

    return StreamingHttpResponse(events(), content_type="text/event-stream")


async def endless(request):
    async def events():
        while True:
            yield "data: still here\n\n"
            await asyncio.sleep(0.1)

    return StreamingHttpResponse(events(), content_type="text/event-stream")


async def status(request):
    return JsonResponse({"ok": True})
