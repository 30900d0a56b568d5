"""`compare --host`: what it refuses, what it asks first, and what its result says."""

import json
import os
import pty
import subprocess
import sys

import pytest

from project.processes import BASE_DIR
from tests.support.commands import here, python
from tests.support.foreign import own_address, self_signed, site

COMPARE = ("manage.py", "compare")
HOST = ("--host", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*HOST, "--pin"], "--pin is for servers that are started here"),
        ([*HOST, "--deployment", "asgi-uvicorn"], "--deployment is for servers"),
        ([*HOST, "--workers", "2"], "--workers is for servers"),
        ([*HOST, "--threads", "2"], "--threads is for servers"),
        ([*HOST, "--database", "pool"], "--database is for servers"),
        ([*HOST, "--round-trip", "5"], "--round-trip is for servers"),
        ([*HOST, "--list"], "--list measures nothing"),
        ([*HOST, "--from", "x.json"], "--from measures nothing"),
        ([*HOST, "--url", "/", "--null"], "give the same --url twice"),
        ([*HOST, "blocking-call", "--url", "/"], "takes one of both"),
        ([*HOST, "--bystander", "/"], "--bystander is for --url"),
        ([*HOST, "--url", "orders"], "'orders' is no path of the project"),
        ([*HOST, "--url", "http://127.0.0.1:2/"], "is not at http://127.0.0.1:1"),
        ([*HOST, "--confirm", "example.org"], "--confirm says example.org, and --host"),
        ([*HOST, "blocking-cal"], "did you mean 'blocking-call'?"),
        (["--url", "/"], "--url is for --host"),
        (["--confirm", "x"], "--confirm is for --host"),
        (["--host", "127.0.0.1"], "no URL like https://staging.example.org"),
        (["--host", "http://127.0.0.1:1/shop/"], "give paths as --url"),
        (["--host", "http://me:secret@127.0.0.1"], "leave them out"),
        (["--host", "http://nobody.invalid"], "there is no host nobody.invalid"),
    ],
)
def test_what_does_not_go_together_is_one_line(arguments, said):
    done = here("compare", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.fixture
def elsewhere():
    """A site at an address that counts as another machine's."""
    with site(own_address()) as server:
        yield server


def test_another_machine_is_not_loaded_without_a_word(elsewhere):
    done = here("compare", "--host", elsewhere.url, "--url", "/orders/")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--confirm" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert elsewhere.asked == []


def test_another_machine_is_loaded_when_its_name_is_given_again(elsewhere, tmp_path):
    address, path = elsewhere.server_address[0], tmp_path / "result.json"
    arguments = ("--host", elsewhere.url, "--url", "/orders/", "--quick", "--output", str(path))
    done = python(*COMPARE, *arguments, "--confirm", address, http_proxy="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    for said in ("GET of /orders/", "10 users", "3 rounds", "requests at the very most"):
        assert said in done.stdout
    result = json.loads(path.read_text())
    host = result["environment"]["host"]
    assert (host["url"], host["address"]) == (elsewhere.url, address)
    assert host["round_trip_ms"] > 0
    assert host["server"].startswith("BaseHTTP/")
    assert f"measured at {elsewhere.url} ({address}), " in done.stdout
    (row,) = result["measurements"]
    assert row["deployment"] == f"at {address}:{elsewhere.server_port}"
    assert row["server"]["rss_mb"] is row["server"]["threads"] is None
    again = here("compare", "--from", str(path))
    assert row["deployment"] in again.stdout
    report = tmp_path / "report.html"
    assert python("manage.py", "report", str(path), "--output", str(report)).returncode == 0
    assert row["deployment"] in report.read_text()


@pytest.mark.parametrize(
    ("typed", "said", "asked"),
    [
        ("staging", "staging was typed, and not {}: nothing was sent", []),
        ("{}", "answers with 404", [("GET", "/missing/")]),
    ],
)
def test_at_a_terminal_its_name_has_to_be_typed(elsewhere, typed, said, asked):
    address = elsewhere.server_address[0]
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, *COMPARE, "--host", elsewhere.url, "--url", "/missing/"],
            cwd=BASE_DIR,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.write(ours, f"{typed.format(address)}\n".encode())
            out, err = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 2
    assert "It will be sent:" in out
    assert said.format(address) in err
    assert elsewhere.asked == asked


@pytest.mark.needs("openssl")
def test_https_is_measured_where_its_certificate_is_trusted(tmp_path):
    certificate, path = self_signed(tmp_path), tmp_path / "result.json"
    with site(certificate=certificate) as server:
        arguments = ("--host", server.url, "--url", "/", "--quick", "--output", str(path))
        refused = python(*COMPARE, *arguments)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert "its certificate is not trusted: self-signed certificate" in line
        assert server.asked == []
        done = python(*COMPARE, *arguments, SSL_CERT_FILE=str(certificate))
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(path.read_text())["measurements"]
        assert row["requests"] > row["failures"] == 0
