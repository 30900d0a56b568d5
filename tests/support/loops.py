"""Views on an event loop, by the order of events: beside a heartbeat, on a fake upstream."""

import asyncio
import inspect
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
from asgiref.sync import async_to_sync
from django.test import RequestFactory

from comparisons import resources
from tests.support.clients import PATIENCE

REQUEST = RequestFactory().get("/")


def answer_of(view):
    """Return what the view answers, whatever its colour: an async one in a loop of its own."""
    return async_to_sync(view)(REQUEST) if inspect.iscoroutinefunction(view) else view(REQUEST)


async def answers(view, requests):
    return await asyncio.gather(*(view(REQUEST) for _ in range(requests)))


async def statuses(view, requests):
    return [answer.status_code for answer in await answers(view, requests)]


async def cancelled_after(turns, view, requests):
    """Start requests, and cancel them after so many turns of the event loop."""
    cancelled = [asyncio.create_task(view(REQUEST)) for _ in range(requests)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)


async def beside_a_heartbeat(view, events):
    """Return the view's response; append "beat" whenever the event loop runs something else."""

    async def beat():
        while True:
            events.append("beat")
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    events.append("start")
    response = await view(REQUEST)
    events.append("end")
    beating.cancel()
    return response


def beats(events, first="start", last="end"):
    """Count how often the event loop ran something else between two events."""
    return events[events.index(first) : events.index(last)].count("beat")


def beats_of(view):
    events = []
    asyncio.run(beside_a_heartbeat(view, events))
    return beats(events)


def run_beside_a_slow_heartbeat(view, events):
    """Return the view's answer; append "beat" every ms or so, if the event loop may run."""

    async def main():
        async with resources.lasting():
            answer = asyncio.ensure_future(view(REQUEST))
            while not answer.done():
                events.append("beat")
                await asyncio.sleep(0.001)
        return json.loads(answer.result().content)

    return asyncio.run(main())


def between(events, start, end):
    return events[events.index(start) + 1 : events.index(end)]


async def turns(awaitable):
    """Count the turns of the event loop that it takes."""
    count = 0

    async def tick():
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await awaitable
    ticking.cancel()
    return count


class FakeUpstream:
    """An upstream whose clock is the event loop: a wait of N ms lasts N turns of the loop.

    events: "ask" for each call that it takes, "got" or "failed" when it has answered one.
    """

    def __init__(self):
        self.events = []
        self.under_way = self.max_under_way = 0

    async def get(self, path):
        kind, *limit, ms = path.strip("/").split("/")
        ms = int(ms)
        if kind == "limited" and self.under_way >= int(limit[-1]):
            return httpx2.Response(503, json={"error": "too many"})
        self.events.append("ask")
        self.under_way += 1
        self.max_under_way = max(self.max_under_way, self.under_way)
        try:
            for _ in range(ms):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if kind == "failing":
            self.events.append("failed")
            return httpx2.Response(500, request=httpx2.Request("GET", f"http://fake{path}"))
        self.events.append("got")
        return httpx2.Response(
            200, json={"waited_ms": ms}, request=httpx2.Request("GET", f"http://fake{path}")
        )


def calls_in_threads(monkeypatch, pair, view, at_once):
    """Return five users' answers, and how many of their calls were under way at the same time.

    The calls come in groups of `at_once`; fewer than that would wait for the others in vain.
    """
    under_way, max_under_way, lock = 0, 0, threading.Lock()
    all_there = threading.Barrier(at_once)

    class Counting:
        def get(self, path):
            nonlocal under_way, max_under_way
            with lock:
                under_way += 1
                max_under_way = max(max_under_way, under_way)
            all_there.wait(PATIENCE)
            with lock:
                under_way -= 1
            return httpx2.Response(200)

    client = Counting()
    monkeypatch.setattr(pair, "upstream", lambda: client)
    with ThreadPoolExecutor(5) as users:
        served = list(users.map(view, [REQUEST] * 5))
    return served, max_under_way
