"""What the simulated external service answers."""

import asyncio

import pytest

from comparisons import upstream


async def stays():
    """The client waits for its answer."""
    await asyncio.Event().wait()


async def leaves():
    """The client has left."""


def answer_to(path, gone=stays):
    return upstream.answer_to(path, gone)


@pytest.mark.parametrize("path", ["/wait/0", "/wait/2", "/limited/test/1/2"])
def test_upstream_answers_after_the_wait_that_was_asked_for(path):
    ms = int(path.rpartition("/")[2])
    assert asyncio.run(answer_to(path)) == (200, {"waited_ms": ms})


def test_failing_call_fails_after_the_wait_that_was_asked_for():
    assert asyncio.run(answer_to("/failing/2")) == (500, {"error": "failed after 2 ms"})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/wait",
        "/wait/-1",
        "/wait/x",
        "/wait/60001",
        f"/wait/{'9' * 5000}",
        "/failing/60001",
        "/limited/test/1001/1",
        "/limited/test/1/60001",
        "/limited/test/1",
    ],
    ids=lambda path: path[:30],
)
def test_other_paths_are_not_found(path):
    assert asyncio.run(answer_to(path)) == (404, {"error": f"no such path: {path}"})


def test_more_calls_than_the_capacity_are_refused_until_one_is_answered():
    async def ask():
        path = "/limited/test/2/5"
        calls = [asyncio.create_task(answer_to(path)) for _ in range(3)]
        of_another = answer_to("/limited/other/2/5")
        statuses = [status for status, _ in await asyncio.gather(*calls, of_another)]
        return statuses, (await answer_to(path))[0]

    assert asyncio.run(ask()) == ([200, 200, 503, 200], 200)


def test_cancelled_call_gives_its_place_back():
    async def ask():
        path = "/limited/cancelled/1/60000"
        call = asyncio.create_task(answer_to(path))
        await asyncio.sleep(0)
        assert (await answer_to(path))[0] == 503
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return upstream.under_way[path]

    assert asyncio.run(ask()) == 0


def test_call_ends_when_its_client_leaves():
    assert asyncio.run(answer_to("/wait/60000", leaves))[0] == 200  # said to nobody


def test_calls_of_a_caller_are_counted_while_they_are_under_way():
    async def ask():
        calls = [asyncio.create_task(answer_to("/of/me/wait/5")) for _ in range(3)]
        await asyncio.sleep(0)
        counts = [(await answer_to(f"/under-way/{caller}"))[1] for caller in ("me", "you")]
        await asyncio.gather(*calls)
        return [*counts, (await answer_to("/under-way/me"))[1]]

    assert asyncio.run(ask()) == [{"under_way": 3}, {"under_way": 0}, {"under_way": 0}]
