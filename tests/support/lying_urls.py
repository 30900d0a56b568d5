"""The project's URLs, with one view replaced: LIE is "slug/variant kind".

The kind may be another variant, whose body it then has.
"""

import asyncio
import itertools
import os
import time
from importlib import import_module

from django.http import Http404, JsonResponse, StreamingHttpResponse
from django.urls import path

from project.urls import urlpatterns as true_patterns

place, kind = os.environ["LIE"].split()
slug, name = place.split("/")
# A measured server has none but its own, which may be another one.
comparison = import_module(f"comparisons.pairs.{slug.replace('-', '_')}").comparison
variant = next(v for v in comparison.variants if v.name == name)


def another_body(response):
    response.content = response.content + b" "
    return response


def slower(view, share):
    """Sleeps for this share of the time that the view took."""

    async def async_slow(request):
        start = time.perf_counter()
        response = await view(request)
        await asyncio.sleep((time.perf_counter() - start) * share)
        return response

    def slow(request):
        start = time.perf_counter()
        response = view(request)
        time.sleep((time.perf_counter() - start) * share)
        return response

    return async_slow if variant.is_async else slow


async def async_other_body(request):
    return another_body(await variant.view(request))


def other_body(request):
    return another_body(variant.view(request))


async def in_a_hurry(request):
    return JsonResponse({"waited": True})


calls = itertools.count(1)


async def raising(request):
    raise ValueError("planted")


async def raising_later(request):
    if next(calls) > 10:
        raise ValueError("planted")
    return await variant.view(request)


async def hanging(request):
    await asyncio.sleep(3600)


async def dribbling(request):
    async def parts():
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingHttpResponse(parts())


async def missing(request):
    raise Http404


VIEWS = {
    **{"hurry": in_a_hurry, "raise": raising, "raise-later": raising_later},
    **{"hang": hanging, "dribble": dribbling, "missing": missing},
}

if kind == "none":
    lie = variant.view
elif kind in {v.name for v in comparison.variants}:
    lie = next(v.view for v in comparison.variants if v.name == kind)
elif kind == "body":
    lie = async_other_body if variant.is_async else other_body
elif kind in ("slow", "fifth"):
    lie = slower(variant.view, 0.5 if kind == "slow" else 0.2)
else:
    lie = VIEWS[kind]

urlpatterns = [path(f"{place}/", lie), *true_patterns]
