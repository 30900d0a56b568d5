"""What thousands of requests that wait at once take, and what a machine says that it lacks."""

import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from comparisons.pairs import COMPARISONS
from loadtests import crowds
from loadtests.crowds import Limits, source_addresses, why_missing
from loadtests.running import rows
from tests.support.clients import PATIENCE
from tests.support.commands import python
from tests.support.scripted import BODY, WHO

ENOUGH = Limits(
    files=50_200,
    ports=14_116,
    addresses=4,
    memory_mb=2_300,
    tracked=50_000,
    backlog=1_000,
)


def test_nothing_is_missing_where_there_is_enough_of_all():
    assert why_missing(50_000, 4, limits=ENOUGH) == ""


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"files": 50_199}, "50200 open files, one each and 200 besides; a process may have 50199"),
        ({"addresses": 3}, "50000 ports to come from; there are 42348 here, 14116 of each address"),
        ({"memory_mb": 2_299}, "2300 MB of memory; there are 2299 MB free"),
        ({"tracked": 49_999}, "50000 connections that the firewall tracks; it has room for 49999"),
        ({"backlog": 128}, "1000 places for who has not been accepted yet; a server has 128"),
    ],
)
def test_what_is_missing_is_one_line_with_what_to_do(lacking, said):
    why = why_missing(50_000, 4, limits=replace(ENOUGH, **lacking))
    assert why.startswith(f"50000 users need {said}")
    assert why.endswith(")")
    assert "\n" not in why


def test_threads_that_requests_hold_are_counted_with_their_memory():
    assert "300 threads" in why_missing(300, threads=300, limits=replace(ENOUGH, threads=299))
    assert "43 MB" in why_missing(300, threads=300, limits=replace(ENOUGH, memory_mb=42))


def test_server_of_several_processes_needs_files_for_the_one_that_has_most():
    mine = replace(ENOUGH, files=15_825)  # a quarter more than 12,500, and 200
    assert why_missing(50_000, 4, processes=4, limits=mine) == ""
    assert "open files" in why_missing(50_000, 4, processes=3, limits=mine)


def test_worker_without_the_server_needs_its_share_of_files_and_all_ports():
    mine = replace(ENOUGH, files=12_700)
    assert why_missing(50_000, 4, serves=False, limits=mine) == ""
    assert "12700 open files" in why_missing(
        50_000, 4, serves=False, limits=replace(mine, files=12_699)
    )


def test_server_without_workers_needs_no_ports():
    assert why_missing(50_000, workers=0, limits=replace(ENOUGH, addresses=0)) == ""


def test_half_of_the_ports_that_are_not_reserved_can_be_had(tmp_path, monkeypatch):
    monkeypatch.setattr(crowds, "PROC", tmp_path)
    (tmp_path / "net/ipv4").mkdir(parents=True)
    (tmp_path / "net/ipv4/ip_local_port_range").write_text("1001\t1100\n")
    (tmp_path / "net/ipv4/ip_local_reserved_ports").write_text("80,1001-1010,1100-1200\n")
    assert crowds.ports() == (100 - 11) // 2


# --- Source addresses


@pytest.fixture
def ten_ports(monkeypatch):
    monkeypatch.setattr(crowds, "ports", lambda: 10)


def test_kernel_chooses_where_one_address_is_enough(ten_ports):
    assert source_addresses("127.0.0.1", 10) == []


def test_loopback_has_as_many_addresses_as_are_needed(ten_ports):
    addresses = source_addresses("127.0.0.1", 31)
    assert len(set(addresses)) == 4
    for address in addresses:
        with socket.create_server((address, 0)):  # it is this machine's
            pass


def test_another_interface_has_its_own_addresses_only(ten_ports, monkeypatch):
    one = socket.AF_INET, socket.AF_INET6
    has = [(one[0], "10.0.0.1"), (one[1], "fd00::1"), (one[0], "10.0.0.2"), (one[0], "10.0.0.3")]
    found = {
        "lo": [SimpleNamespace(family=one[0], address="127.0.0.1")],
        "eth0": [SimpleNamespace(family=family, address=address) for family, address in has],
    }
    monkeypatch.setattr(crowds.psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(crowds, "_own_address", lambda _: "10.0.0.2")
    assert source_addresses("10.0.0.9", 20) == ["10.0.0.2", "10.0.0.1"]
    assert source_addresses("10.0.0.9", 1_000) == ["10.0.0.2", "10.0.0.1", "10.0.0.3"]
    assert crowds.limits_here("10.0.0.9").addresses == 3


USERS = 40
# One of two workers on this machine, who share its ports. Its answers say nothing to `compare`.
WORKER = """
import json, sys
from loadtests import generator
from loadtests.orders import GO, Order
from loadtests import crowds

crowds.ports = lambda: 10
order = Order(
    comparison="many-waiting", variant="sync", host={url!r}, server={server!r}, users={users},
    window=0.1, min_answers=1, waiting=0.5, users_here={here},
)
result = generator.run_round(order, generator.Pipes(), GO)
print(json.dumps([error for *_, error in result.samples]))
"""


@contextmanager
def holding(users):
    """A server that answers its variants when so many wait. Its URL; from where they have come."""
    came, together = [], threading.Barrier(users)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if "bystander" not in self.path:
                came.append(self.client_address[0])
                together.wait(PATIENCE)
            self.send_response(200)
            self.send_header("X-Deployment", WHO)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 2 * users

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("here", "addresses"), [(0, 4), (2 * USERS, 8)])
def test_workers_users_come_from_so_many_addresses_that_ports_suffice(here, addresses):
    with holding(USERS) as (url, came):
        worker = WORKER.format(url=url, server=WHO, users=USERS, here=here)
        done = python("-c", worker)
    assert json.loads(done.stdout.splitlines()[-1]) == [None] * USERS
    assert len(set(came)) == addresses
    assert max(came.count(address) for address in came) <= USERS // addresses


# --- Rows


def why_unmeasurable(variant, users, **limits):
    comparison = replace(COMPARISONS["many-waiting"], users=users, expectations=[])
    (row,) = (row for row in rows.rows_of(comparison, [], None) if row.variant.name == variant)
    return rows.why_unmeasurable(row)


@pytest.fixture
def few(monkeypatch):
    """A machine with few threads."""
    few = replace(ENOUGH, threads=1_500)
    monkeypatch.setattr(crowds, "limits_here", lambda: few)


def test_server_with_fewer_threads_than_users_is_not_measured(few):
    said = why_unmeasurable("sync", 1_001)
    assert said == "1000 threads cannot let 1001 requests wait at once"


def test_only_a_server_that_holds_a_thread_for_each_request_is_refused_for_threads(few):
    assert "2000 threads on the server; it may have 1500" in why_unmeasurable("async_native", 2_000)
    for variant in ("async_shared_thread", "async_direct", "async_plain"):
        assert why_unmeasurable(variant, 2_000) == ""
