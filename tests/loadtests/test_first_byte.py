"""When the first byte of a body comes, as the load generator notes it."""

import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support.commands import python
from tests.support.scripted import Listener

# One user asks the server at {host} once; prints the samples that are made of it.
ASK = """
import json
import time
from locust.env import Environment
from loadtests.generator import USERS, Recording

user_class = USERS[{slug!r}, "sync"]
recording = Recording()
environment = Environment(user_classes=[user_class])
environment.events.request.add_listener(recording.add)
user_class.host, user_class.notes_first_byte = {host!r}, True
user_class(environment).call_variant()
print(json.dumps(recording.samples))
"""
PAUSE_MS = 50
HEADERS = b"HTTP/1.1 200 OK\r\nX-Deployment: any\r\nTransfer-Encoding: chunked\r\n\r\n"


# With locust's client, and with the one of users who only wait.
SLUGS = pytest.mark.parametrize("slug", ["blocking-call", "many-waiting"])


def sample_of(converse, slug):
    """What is noted of the one request that `converse` answers, on the server's connection."""
    with closing(Listener()) as listener, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(python, "-c", ASK.format(host=listener.url, slug=slug))
        peer = listener.accept()
        peer.request()
        converse(peer)
        peer.close()
        (sample,) = json.loads(asking.result().stdout)
    return sample


@SLUGS
def test_first_byte_of_the_body_comes_after_the_headers_and_before_the_last(slug):
    def converse(peer):
        peer.send(HEADERS)
        time.sleep(PAUSE_MS / 1000)
        peer.send(b"5\r\nfirst\r\n")
        time.sleep(PAUSE_MS / 1000)
        peer.send(b"4\r\nlast\r\n0\r\n\r\n")

    _, latency_ms, status, digest, error, first_byte_ms = sample_of(converse, slug)
    assert (status, error) == (200, None)
    assert digest == zlib.crc32(b"firstlast")
    assert first_byte_ms >= PAUSE_MS
    assert latency_ms >= 2 * PAUSE_MS
    assert first_byte_ms < latency_ms


@SLUGS
def test_body_that_breaks_off_is_a_failure(slug):
    def converse(peer):
        peer.send(HEADERS + b"5\r\nfirst\r\n")

    assert error_of(sample_of(converse, slug))


@SLUGS
def test_answer_that_is_not_right_is_a_failure(slug):
    def answer(head):
        return lambda peer: peer.send(head + b"Content-Length: 2\r\n\r\n{}")

    wrong = sample_of(answer(b"HTTP/1.1 500 Oh\r\n"), slug)
    assert (wrong[2], error_of(wrong)) == (500, "status 500")
    assert error_of(sample_of(answer(b"HTTP/1.1 200 OK\r\n"), slug)) is None


def error_of(sample):
    return sample[4]
