"""What the simulated external service answers."""

import asyncio

import pytest

from comparisons import upstream


@pytest.mark.parametrize("path", ["/wait/0", "/wait/2", "/limited/test/1/2"])
def test_upstream_answers_after_the_wait_that_was_asked_for(path):
    ms = int(path.rpartition("/")[2])
    assert asyncio.run(upstream.answer_to(path)) == (200, {"waited_ms": ms})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/wait",
        "/wait/-1",
        "/wait/x",
        "/wait/60001",
        f"/wait/{'9' * 5000}",
        "/limited/test/1001/1",
        "/limited/test/1/60001",
        "/limited/test/1",
    ],
    ids=lambda path: path[:30],
)
def test_other_paths_are_not_found(path):
    assert asyncio.run(upstream.answer_to(path)) == (404, {"error": f"no such path: {path}"})


def test_more_calls_than_the_capacity_are_refused_until_one_is_answered():
    async def ask():
        path = "/limited/test/2/5"
        calls = [asyncio.create_task(upstream.answer_to(path)) for _ in range(3)]
        of_another = upstream.answer_to("/limited/other/2/5")
        statuses = [status for status, _ in await asyncio.gather(*calls, of_another)]
        return statuses, (await upstream.answer_to(path))[0]

    assert asyncio.run(ask()) == ([200, 200, 503, 200], 200)


def test_cancelled_call_gives_its_place_back():
    async def ask():
        path = "/limited/cancelled/1/60000"
        call = asyncio.create_task(upstream.answer_to(path))
        await asyncio.sleep(0)
        assert (await upstream.answer_to(path))[0] == 503
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return upstream.under_way[path]

    assert asyncio.run(ask()) == 0
