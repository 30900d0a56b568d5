"""What a request costs: on a machine, and of a server's CPU time."""

import subprocess
import sys

import psutil
import pytest

from loadtests.running import sampling, servers
from loadtests.running.calibration import CALLS, bystander_cpu_ms, calibrate
from project.deployments import DEPLOYMENTS
from tests.support.clients import SMALL

# Computes for as long as it is told, in a thread that has ended when it says for how long it has.
BURN = """
import sys, threading, time
def burn():
    while time.thread_time() < float(sys.argv[1]):
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print(time.process_time(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sampling.CPU_CLOCKS, reason="no CPU clock of another process here")
def test_cpu_time_is_read_to_the_millisecond_and_of_ended_threads_too():
    command = [sys.executable, "-c", BURN, "0.023"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        own = float(process.stdout.readline())
        read = sampling.cpu_seconds(psutil.Process(process.pid))
        assert own <= read < own + 0.002
        process.stdin.close()


def test_cpu_time_of_children_that_have_ended_is_their_parents():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], '0.1'])"
    script = f"{code}; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, BURN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.close()
        process.stdout.readline()
        process.stdout.readline()
        assert sampling.cpu_seconds(psutil.Process(process.pid)) > 0.1
        process.wait()


def test_bystander_is_billed_less_than_all_that_the_server_used():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL]) as running:
        before = sampling.usage(running[0]).cpu_seconds
        (cost,) = bystander_cpu_ms(running)
        used = 1000 * (sampling.usage(running[0]).cpu_seconds - before)
    assert 0 < cost <= used / CALLS


def test_dead_server_costs_nothing():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL]) as running:
        running[0].process.kill()
        running[0].process.wait()
        assert bystander_cpu_ms(running) == [0]


def test_lone_request_takes_longer_than_its_wait(generator):
    cost = calibrate(generator)
    assert cost.latency_ms > 0
    assert cost.cpu_ms > 0
