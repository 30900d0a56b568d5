"""What a request costs on this machine besides its wait, measured while nothing else runs."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException

from comparisons.pairs import blocking_call
from comparisons.registry import Cost
from loadtests.orders import BYSTANDER_PACE_S, Order
from loadtests.running import sampling, servers
from loadtests.running.generators import Generator
from project.deployments import DEPLOYMENTS
from project.ports import LOOPBACK

WINDOW_S = 0.5
CALLS = 4  # of the bystander, of each server
BATCHES = 3  # of them, for the machine's cost
TIMEOUT_S = 5


def calibrate(generator: Generator, address: str = LOOPBACK) -> Cost:
    """Measure what a lone request takes besides its wait, and the CPU time of a trivial one.

    The larger of a sync and of an async view's; by the load generator, which is to load the others.
    The least of several, for what is above it is disturbance, and would make claims easier to hold.
    address: where the servers listen. ServerError if one does not start, or gives no answer.
    """
    measured = [blocking_call.sync, blocking_call.async_native]
    variants = [v for v in blocking_call.comparison.variants if v.view in measured]
    deployments = [DEPLOYMENTS[variant.deployment] for variant in variants]
    slug = blocking_call.comparison.slug
    environs = [{"SERVED": f"{slug}/{variant.name}"} for variant in variants]
    with servers.serving(deployments, environs, address=address) as running:
        excess_ms = []
        for variant, server in zip(variants, running, strict=True):
            result = generator.run(
                Order(
                    comparison=slug,
                    variant=variant.name,
                    host=server.url,
                    server=server.name,
                    users=1,
                    window=WINDOW_S,
                    min_answers=3,
                )
            )
            latencies = [
                latency
                for start, latency, _, _, error in result.samples
                if not error and start >= result.opened
            ]
            if not latencies:
                raise servers.ServerError(
                    f"{server.deployment.name} gave no right answer: {servers.said(server.log)}"
                )
            excess_ms.append(min(latencies) - blocking_call.WAIT_MS)
        several = [bystander_cpu_ms(running) for _ in range(BATCHES)]
        cpu_ms = [min(of_server) for of_server in zip(*several, strict=True)]
    return Cost(latency_ms=round(max(excess_ms), 3), cpu_ms=round(max(cpu_ms), 3))


def bystander_cpu_ms(running: Sequence[servers.Running]) -> list[float]:
    """Measure the CPU time of one of the bystander's calls on each server, all at once.

    At the bystander's pace and on one connection, as in a round. 0 for a server that is dead.
    """

    def cost(server: servers.Running) -> float:
        before = sampling.usage(server).cpu_seconds
        with closing(HTTPConnection(server.address, server.port, TIMEOUT_S)) as connection:
            for _ in range(CALLS):
                time.sleep(BYSTANDER_PACE_S)
                with suppress(OSError, HTTPException):
                    connection.request("GET", f"{server.deployment.own_paths}bystander/")
                    connection.getresponse().read()
        return max(0.0, 1000 * (sampling.usage(server).cpu_seconds - before) / CALLS)

    with ThreadPoolExecutor(max(1, len(running))) as threads:
        return list(threads.map(cost, running))
