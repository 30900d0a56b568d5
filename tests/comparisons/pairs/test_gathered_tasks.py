"""When one of five calls fails: when the view answers, and what becomes of the other four."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from comparisons import resources
from comparisons.pairs import gathered_tasks as pair
from tests.support.clients import PATIENCE, loop_until
from tests.support.loops import REQUEST

OTHERS = len(pair.PATHS) - 1


def assert_one_failed(answer):
    assert answer.status_code == 200
    assert json.loads(answer.content) == {"failed": 1}


@pytest.mark.parametrize(
    ("view", "answered", "under_way"),
    [
        (pair.async_gather, 0, OTHERS),
        (pair.async_task_group, 0, 0),
        (pair.async_return_exceptions, OTHERS, 0),
    ],
)
def test_what_the_others_have_come_to_when_the_view_answers(view, answered, under_way, fake):
    async def main():
        answer = await view(REQUEST)
        return answer, fake.events.count("got"), fake.under_way

    answer, *others = asyncio.run(main())
    assert_one_failed(answer)
    assert fake.events[: len(pair.PATHS)] == ["ask"] * len(pair.PATHS)
    assert others == [answered, under_way]


def test_others_of_gather_run_on_to_their_end(fake):
    async def main():
        await pair.async_gather(REQUEST)
        await loop_until(lambda: not fake.under_way)

    asyncio.run(main())
    assert fake.events[-OTHERS:] == ["got"] * OTHERS


def test_cancelled_calls_close_their_connections(settings):
    all_there, there, closed = asyncio.Event(), [], []

    async def serve(reader, writer):
        """Fail one call when the others are there, and leave those unanswered."""
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/failing/" in head:
            await all_there.wait()
            writer.write(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n")
        else:
            there.append(reader)
            if len(there) == OTHERS:
                all_there.set()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        closed.append(reader)

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            host, port = server.sockets[0].getsockname()
            settings.UPSTREAM_URL = f"http://{host}:{port}"
            async with resources.lasting():  # the client, with the connection of the failed call
                assert_one_failed(await pair.async_task_group(REQUEST))
                await loop_until(lambda: set(closed) == set(there))
            await loop_until(lambda: len(closed) == len(pair.PATHS))

    asyncio.run(main())


def test_threads_wait_for_all_calls(monkeypatch):
    events, failed, may_answer = [], threading.Event(), threading.Event()
    all_called = threading.Barrier(len(pair.PATHS), timeout=PATIENCE)

    class Service:
        def get(self, path):
            all_called.wait()  # a call that had not begun when one fails would be cancelled
            if path.startswith("/failing/"):
                failed.set()
                return httpx2.Response(500, request=httpx2.Request("GET", "http://fake"))
            assert may_answer.wait(PATIENCE)
            events.append("got")
            return httpx2.Response(200, request=httpx2.Request("GET", "http://fake"))

    def ask():
        answer = pair.sync_threads(REQUEST)
        events.append("end")
        return answer

    monkeypatch.setattr(pair, "upstream", Service)
    with ThreadPoolExecutor(1) as users:
        asked = users.submit(ask)
        assert failed.wait(PATIENCE)
        time.sleep(0.05)  # in which who does not wait would answer
        may_answer.set()
        assert_one_failed(asked.result(PATIENCE))
    assert events == ["got"] * OTHERS + ["end"]
