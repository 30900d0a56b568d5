"""Who runs while a thread or a process computes; and how a pool of processes ends."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import psutil
import pytest

from comparisons import offload
from comparisons.cores import CORES
from comparisons.pairs import gil
from tests.support.clients import PATIENCE, until
from tests.support.computing import fib_when_allowed
from tests.support.loops import between, run_beside_a_slow_heartbeat


def test_computing_thread_lets_the_loop_run_only_without_the_gil(request_, monkeypatch, gil_kept):
    events = []

    def fib(n):
        events.append("start")
        result = offload.fib(n)
        events.append("end")
        return result

    monkeypatch.setattr(gil, "fib", fib)
    run_beside_a_slow_heartbeat(gil.async_threaded, events)
    assert between(events, "start", "end") == []


def test_loop_runs_while_a_process_computes(request_, monkeypatch, tmp_path):
    """Which ends only when the loop has run: then there is the file that it waits for."""
    allowed = tmp_path / "allowed"

    class Events(list):
        def append(self, event):
            super().append(event)
            if len(self) == 3:
                allowed.touch()

    monkeypatch.setattr(gil, "fib", partial(fib_when_allowed, allowed))
    assert run_beside_a_slow_heartbeat(gil.async_process, Events()) == {"fib": 121393}


def test_pool_has_a_process_for_each_core_started_once():
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
def test_pools_processes_end_with_their_parent_however_it_ends(number):
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


def test_closed_pool_leaves_no_process_and_the_next_use_starts_another():
    pid = offload.process_pool().submit(os.getpid).result(PATIENCE)
    offload.close_process_pool()
    assert not psutil.pid_exists(pid)
    assert offload.process_pool().submit(os.getpid).result(PATIENCE) != pid
