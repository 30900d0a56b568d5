"""What the pairs about processes and threads claim, pinned by the order of events, without load."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psutil
import pytest
from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application
from django.core.exceptions import BadRequest
from django.http import JsonResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from comparisons import cpu_service, offload, resources
from comparisons.cores import CORES
from comparisons.pairs import cpu_offload, gil, many_waiting, thread_hops, threads, workers
from tests.support.clients import PATIENCE, until
from tests.support.computing import fib_when_allowed


@pytest.fixture
def gil_kept():
    """Nobody takes the GIL from a thread: it has it until it waits or calls what gives it up."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


def run_beside_a_heartbeat(view, request, events):
    """The view's answer; until it is there, the event loop appends "beat" whenever it may run."""

    async def main():
        async with resources.lasting():
            answer = asyncio.ensure_future(view(request))
            while not answer.done():
                events.append("beat")
                await asyncio.sleep(0.001)
        return json.loads(answer.result().content)

    return asyncio.run(main())


def between(events, start, end):
    return events[events.index(start) + 1 : events.index(end)]


# --- workers


def test_the_two_background_loops_are_two_threads_and_requests_go_to_them_in_turn(
    request_, monkeypatch
):
    ran_in = []

    def fib(n):
        ran_in.append((asyncio.get_running_loop(), threading.get_ident()))
        return n

    monkeypatch.setattr(workers, "fib", fib)

    async def main():
        for _ in range(4):
            await workers.async_two_loops(request_)
        return asyncio.get_running_loop(), threading.get_ident()

    servers_own = asyncio.run(main())
    assert ran_in[:2] == ran_in[2:]
    for loops_or_threads in zip(servers_own, *ran_in[:2], strict=True):
        assert len(set(loops_or_threads)) == 3


def test_with_one_gil_two_loops_in_two_threads_compute_one_after_the_other(
    request_, monkeypatch, gil_kept
):
    events = []

    def fib(n):
        events.append("start")
        offload.fib(15)
        events.append("end")
        return n

    monkeypatch.setattr(workers, "fib", fib)

    async def main():
        await asyncio.gather(*(workers.async_two_loops(request_) for _ in range(6)))

    asyncio.run(main())
    assert events == ["start", "end"] * 6


def test_one_loop_lets_nothing_else_run_while_it_computes(request_, monkeypatch):
    events = []

    def fib(n):
        events.append("start")
        offload.fib(15)
        events.append("end")
        return n

    monkeypatch.setattr(workers, "fib", fib)
    run_beside_a_heartbeat(workers.async_one_loop, request_, events)
    assert between(events, "start", "end") == []


# --- many-waiting


def test_a_thousand_waiting_coroutines_wait_together_in_one_thread():
    request_ = RequestFactory().get("/?seconds=0.05")

    async def main():
        waiting = [asyncio.ensure_future(many_waiting.async_native(request_)) for _ in range(1000)]
        before = set(threading.enumerate())
        await asyncio.sleep(0)  # each runs until it waits
        assert not any(task.done() for task in waiting)
        assert set(threading.enumerate()) <= before
        await asyncio.gather(*waiting)

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "long", "-1", "60.1", "nan", "inf", "1e400"])
@pytest.mark.parametrize("view", [many_waiting.sync, many_waiting.async_native])
def test_how_long_to_wait_is_bounded(view, text):
    """BadRequest is what Django answers with status 400."""
    request = RequestFactory().get("/", {"seconds": text})
    with pytest.raises(BadRequest, match="seconds"):
        asyncio.run(view(request)) if asyncio.iscoroutinefunction(view) else view(request)


TOGETHER = 20
threads_while_waiting = []
all_wait = None


async def waiting_for_the_others(request):
    await all_wait.wait()
    threads_while_waiting.append(set(threading.enumerate()))
    await all_wait.wait()
    return JsonResponse({})


urlpatterns = [path("", waiting_for_the_others)]


async def through(application):
    """One request of an ASGI server to the application: the status."""
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"},
        **{
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        },
    }
    to_come = [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        if not to_come:
            await asyncio.Event().wait()  # the client stays
        return to_come.pop()

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"]


def threads_held_by(application):
    """How many threads there are, beside those before, while TOGETHER requests wait."""
    global all_wait
    threads_while_waiting.clear()
    before = set(threading.enumerate())  # some of an earlier test may be about to end

    async def main():
        global all_wait
        all_wait = asyncio.Barrier(TOGETHER)
        return await asyncio.gather(*(through(application) for _ in range(TOGETHER)))

    assert asyncio.run(main()) == [200] * TOGETHER
    return max(len(threads - before) for threads in threads_while_waiting)


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[])
def test_djangos_asgi_handler_holds_a_thread_for_each_request_that_waits():
    assert threads_held_by(get_asgi_application()) == TOGETHER


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[])
def test_with_a_shared_thread_a_request_that_waits_holds_none():
    django = get_asgi_application()
    with ThreadPoolExecutor(1) as shared:

        async def application(scope, receive, send):
            async with ThreadSensitiveContext(executor=shared):
                await django(scope, receive, send)

        assert threads_held_by(application) == 1


# --- threads


@pytest.fixture
def most_at_once(request_, monkeypatch):
    """A function: how many of `count` requests are in their blocking call at the same time.

    The calls return soon after `together` of them are in theirs. in_request: around each request.
    """

    def counted(view, count, together, in_request=ThreadSensitiveContext):
        lock, now, peak, enough = threading.Lock(), 0, 0, threading.Event()
        sleep_for_real = time.sleep

        def sleep(_seconds):
            nonlocal now, peak
            with lock:
                now += 1
                peak = max(peak, now)
                if now == together:
                    enough.set()
            assert enough.wait(PATIENCE)
            sleep_for_real(0.02)  # more can come, if nothing keeps them
            with lock:
                now -= 1

        async def request():
            async with in_request():
                await view(request_)

        async def main():
            await asyncio.gather(*(request() for _ in range(count)))

        monkeypatch.setattr(threads.time, "sleep", sleep)
        asyncio.run(main())
        return peak

    return counted


def test_the_default_executor_lets_no_more_wait_than_it_has_threads(most_at_once):
    limit = threads.DEFAULT_THREADS
    assert most_at_once(threads.async_default_executor, limit + 10, together=limit) == limit


def test_an_executor_of_a_hundred_lets_a_hundred_wait(most_at_once):
    assert most_at_once(threads.async_own_executor, 110, together=100) == 100


def test_thread_sensitive_calls_of_different_requests_wait_together(most_at_once):
    assert most_at_once(threads.async_thread_sensitive, 40, together=40) == 40


def test_thread_sensitive_calls_of_one_request_wait_for_each_other(most_at_once):
    async def view(request):
        calls = (threads.async_thread_sensitive(request) for _ in range(5))
        await asyncio.gather(*calls)

    assert most_at_once(view, 1, together=1) == 1


def test_where_requests_share_a_thread_their_calls_wait_for_each_other(most_at_once):
    with ThreadPoolExecutor(1) as shared:

        def in_shared_thread():
            return ThreadSensitiveContext(executor=shared)

        assert most_at_once(threads.async_thread_sensitive, 5, 1, in_shared_thread) == 1


# --- thread-hops


@pytest.mark.parametrize(
    ("view", "hops"),
    [
        (thread_hops.async_many_hops, thread_hops.CALLS),
        (thread_hops.async_one_hop, 1),
        (thread_hops.async_native, 0),
    ],
)
def test_the_event_loop_gets_control_back_once_per_hop(view, hops, request_, monkeypatch):
    loops_thread = threading.get_ident()
    ran_in, handed_over = [], []
    step, sync_to_async = thread_hops.step, thread_hops.sync_to_async

    def recorded_step(number):
        ran_in.append(threading.get_ident())
        return step(number)

    def counted(function):
        handed_over.append(function)
        return sync_to_async(function)

    monkeypatch.setattr(thread_hops, "step", recorded_step)
    monkeypatch.setattr(thread_hops, "sync_to_async", counted)
    answer = asyncio.run(view(request_))
    assert answer.content == thread_hops.sync(request_).content
    assert len(handed_over) == hops
    here = [thread == loops_thread for thread in ran_in[: thread_hops.CALLS]]
    assert here == [hops == 0] * thread_hops.CALLS


# --- gil


def test_a_thread_that_computes_lets_the_loop_run_only_when_the_gil_is_taken_from_it(
    request_, monkeypatch, gil_kept
):
    events = []

    def fib(n):
        events.append("start")
        result = offload.fib(n)
        events.append("end")
        return result

    monkeypatch.setattr(gil, "fib", fib)
    run_beside_a_heartbeat(gil.async_threaded, request_, events)
    assert between(events, "start", "end") == []


def test_the_loop_runs_while_a_process_computes(request_, monkeypatch, tmp_path):
    """Which ends only when the loop has run: then there is the file that it waits for."""
    allowed = tmp_path / "allowed"

    class Events(list):
        def append(self, event):
            super().append(event)
            if len(self) == 3:
                allowed.touch()

    monkeypatch.setattr(gil, "fib", partial(fib_when_allowed, allowed))
    assert run_beside_a_heartbeat(gil.async_process, request_, Events()) == {"fib": 121393}


def test_the_pool_has_a_process_for_each_core_started_once():
    pool = offload.process_pool()
    computing = [pool.submit(os.getpid) for _ in range(8 * CORES)]
    pids = {future.result(PATIENCE) for future in computing}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= CORES
    later = {offload.process_pool().submit(os.getpid).result(PATIENCE) for _ in range(8)}
    assert len(pids | later) <= CORES


# Uses a pool, tells its own process and the pool's, and waits.
USES_A_POOL = """
import os, time
from comparisons.offload import new_process_pool
if __name__ == "__main__":
    pool = new_process_pool(2)
    computing = [pool.submit(time.sleep, 0.1) for _ in range(2)]
    pids = [*pool._processes]
    [future.result() for future in computing]
    print(*pids, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_pools_processes_end_with_the_one_that_made_them_however_it_ends(number):
    command = [sys.executable, "-c", USES_A_POOL]
    # The tracker of semaphores tells that the dead leave some, and removes them.
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **quiet) as parent:
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        helpers = psutil.Process(parent.pid).children(recursive=True)
        assert len(pids) == 2
        assert pids <= {process.pid for process in helpers}
        parent.send_signal(number)
        parent.wait(PATIENCE)
    until(lambda: not any(map(lives, helpers)))


def lives(process):
    """A zombie that its new parent has not collected yet has ended too."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_closed_pool_leaves_no_process_and_the_next_use_starts_another():
    pid = offload.process_pool().submit(os.getpid).result(PATIENCE)
    offload.close_process_pool()
    assert not psutil.pid_exists(pid)
    assert offload.process_pool().submit(os.getpid).result(PATIENCE) != pid


# --- cpu-offload


def test_a_pool_per_request_starts_processes_for_each_and_leaves_none(request_, monkeypatch):
    asyncio.run(cpu_offload.async_process(request_))  # starts the forkserver that both share
    started = []

    def recorded(size):
        started.append(offload.new_process_pool(size))
        return started[-1]

    monkeypatch.setattr(cpu_offload, "new_process_pool", recorded)
    for view in (cpu_offload.async_process, cpu_offload.async_new_process):
        for _ in range(2):
            before = set(psutil.Process().children(recursive=True))
            assert asyncio.run(view(request_)).content == cpu_offload.sync(request_).content
            if view is cpu_offload.async_new_process:  # the shared pool may grow to its size
                assert set(psutil.Process().children(recursive=True)) <= before
    assert len(started) == 2


def test_the_loop_runs_while_the_service_computes(request_, settings):
    """The service is in the loop itself here: it answers only if the view lets the loop run."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = cpu_offload.sync(request_).content
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()
        await writer.wait_closed()

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            settings.CPU_SERVICE_URL = f"http://127.0.0.1:{port}"
            async with resources.lasting():
                return (await cpu_offload.async_service(request_)).content

    assert json.loads(asyncio.run(main())) == {"fib": 121393}


def test_native_code_gives_up_the_gil_while_it_computes(request_, monkeypatch, gil_kept):
    events = []

    def native_fib(n):
        events.append("start")
        deadline = time.monotonic() + PATIENCE
        while events[-1] != "beat" and time.monotonic() < deadline:  # until the loop comes to it
            result = offload.native_fib(n)
        events.append("end")
        return result

    monkeypatch.setattr(cpu_offload, "native_fib", native_fib)
    answer = run_beside_a_heartbeat(cpu_offload.async_native_code, request_, events)
    assert answer == {"fib": 121393}
    assert "beat" in between(events, "start", "end")


def test_python_code_in_the_same_place_does_not(request_, monkeypatch, gil_kept):
    events = []

    def fib(n):
        events.append("start")
        result = offload.fib(n)
        events.append("end")
        return result

    monkeypatch.setattr(cpu_offload, "native_fib", fib)
    run_beside_a_heartbeat(cpu_offload.async_native_code, request_, events)
    assert between(events, "start", "end") == []


def test_a_process_that_used_native_code_ends_without_a_word():
    use = "from comparisons.offload import native_fib; print(native_fib(10))"
    done = subprocess.run([sys.executable, "-c", use], capture_output=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr, done.returncode) == (b"55\n", b"", 0)


@pytest.mark.parametrize("n", [0, 1, 2, 20])
def test_native_code_computes_the_same(n):
    assert offload.native_fib(n) == offload.fib(n)


def test_each_thread_has_a_native_function_of_its_own():
    offload.native_fib(1)
    mine = offload._of_thread.fib
    with ThreadPoolExecutor(1) as other:
        assert other.submit(offload.native_fib, 10).result(PATIENCE) == 55
        assert other.submit(lambda: offload._of_thread.fib).result(PATIENCE) is not mine


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/fib/10", 200, {"fib": 55}),
        ("/fib/31", 404, {"error": "no such path: /fib/31"}),
        ("/fib/-1", 404, {"error": "no such path: /fib/-1"}),
        ("/fib/x", 404, {"error": "no such path: /fib/x"}),
        ("/fib/" + "9" * 5000, 404, None),
        ("/", 404, {"error": "no such path: /"}),
    ],
)
def test_the_service_computes_small_numbers_only(path, status, answer):
    got = asyncio.run(cpu_service.answer_to(path))
    assert got[0] == status
    assert answer in (got[1], None)
