"""What the event loop does while others compute for it."""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from comparisons import cpu_service, offload, resources
from comparisons.pairs import cpu_offload
from tests.support.clients import PATIENCE
from tests.support.loops import (
    between,
    run_beside_a_slow_heartbeat,
)


def test_pool_per_request_starts_processes_for_each_and_leaves_none(request_, monkeypatch):
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


def test_loop_runs_while_the_service_computes(request_, settings):
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
    answer = run_beside_a_slow_heartbeat(cpu_offload.async_native_code, events)
    assert answer == {"fib": 121393}
    assert "beat" in between(events, "start", "end")


def test_python_code_keeps_the_gil_while_it_computes(request_, monkeypatch, gil_kept):
    events = []

    def fib(n):
        events.append("start")
        result = offload.fib(n)
        events.append("end")
        return result

    monkeypatch.setattr(cpu_offload, "native_fib", fib)
    run_beside_a_slow_heartbeat(cpu_offload.async_native_code, events)
    assert between(events, "start", "end") == []


def test_process_that_used_native_code_ends_without_a_word():
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
def test_service_computes_small_numbers_only(path, status, answer):
    got = asyncio.run(cpu_service.answer_to(path, gone=None))
    assert got[0] == status
    assert answer in (got[1], None)
