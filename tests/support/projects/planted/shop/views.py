import asyncio
import time

from asgiref.sync import async_to_sync
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from shop import prices
from shop.models import SLOW, Order

lock = asyncio.Lock()


async def rates(request):
    return HttpResponse(str(prices.in_euros(5)))


async def compressed(request):
    import holder

    holder.kept()  # keeps the GIL
    return HttpResponse("compressed")


async def hashed(request):
    import holder

    holder.given()  # gives the GIL away
    return HttpResponse("hashed")


async def listed(request):
    return render(request, "listed.html", {"rows": range(80)})


async def computed(request):
    total = 0
    end = time.thread_time() + 0.05
    while time.thread_time() < end: total += 1  # computes
    return HttpResponse("computed")


async def locked(request):
    async with lock:  # waits for the lock
        await asyncio.sleep(0.03)
    return HttpResponse("locked")


def bridged(request):
    return HttpResponse(async_to_sync(newest)())


async def newest():
    return str(Order.objects.raw(SLOW)[0].id)  # asks the database on the loop


async def stored(request):
    found = [order async for order in Order.objects.raw(SLOW)]  # asks it in a thread
    return HttpResponse(str(found[0].id))


async def streamed(request):
    async def parts():
        for number in range(3):
            time.sleep(0.04)  # blocks in the stream
            yield f"{number}\n"

    return StreamingHttpResponse(parts())


async def clean(request):
    await asyncio.sleep(0.05)  # waits on its loop
    return HttpResponse("clean")


def clean_sync(request):
    time.sleep(0.05)  # waits in its thread
    return HttpResponse("clean")
