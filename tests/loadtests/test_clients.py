"""Users who are slow, who leave, and who note when the first byte comes: against a server of ours.

The load generator is the real one; every byte of its server is the test's.
"""

import json
import threading
import time
from contextlib import contextmanager

from comparisons.pairs import cancelled_requests, timeouts
from loadtests.orders import LEFT, Order
from tests.support.commands import python
from tests.support.scripted import BODY, WHO, Listener, response

LEAVING_MS = 1000 * cancelled_requests.LEAVING.leaves_after
HEAD_OF_A_BODY = response(BODY).removesuffix(BODY)


@contextmanager
def serving(answer):
    """A server that answers each connection by `answer(peer, number)`, in a thread of its own."""
    listener = Listener()
    threads = []

    def serve():
        try:
            while True:
                peer = listener.accept()
                thread = threading.Thread(target=answer, args=(peer, len(threads)))
                threads.append(thread)
                thread.start()
        except OSError:
            pass  # it was closed

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield listener.url
        for thread in threads:
            thread.join()  # all clients have closed their connections
    finally:
        listener.end()
        accepting.join()
        listener.close()


def order_for(comparison, variant, url, **more):
    what = {"comparison": comparison.slug, "variant": variant, "host": url, "server": WHO}
    return Order(**what | {"users": 1, "window": 0.2, "min_answers": 3} | more)


def run_round(generator, order):
    return generator.run(order)


def bystander(request):
    return request.startswith(b"GET /bystander/")


def answer_bystander(peer, request):
    while bystander(request):
        peer.send(response())
        request = peer.request_or_end()
    return request


def test_user_who_leaves_closes_the_connection_and_asks_again_on_another(generator):
    events = []

    def never(peer, number):
        """Answer the bystander only; note who comes and who leaves."""
        if answer_bystander(peer, peer.request_or_end()):
            events.append(("asked", number))
            assert peer.request_or_end() == b""
            events.append(("left", number))

    with serving(never) as url:
        order = order_for(cancelled_requests.comparison, "async_native", url)
        result = run_round(generator, order)
    connections = {number for _, number in events}
    assert len(connections) >= 3
    for number in connections:
        assert [what for what, of in events if of == number] == ["asked", "left"]
    assert {(sample[2], sample[4]) for sample in result.samples} == {(0, LEFT)}
    assert min(sample[1] for sample in result.samples) >= LEAVING_MS
    assert [sample[4] for sample in result.bystander] == [None] * len(result.bystander)


def test_answer_in_time_is_no_request_that_was_left(generator):
    with serving(answer_all) as url:
        order = order_for(cancelled_requests.comparison, "async_native", url)
        result = run_round(generator, order)
    assert {(sample[2], sample[4]) for sample in result.samples} == {(200, None)}


def answer_all(peer, _number):
    while peer.request_or_end():
        peer.send(response())


def test_first_byte_is_the_bodys_and_neither_the_heads_nor_the_last(generator):
    """The body comes 100 ms after the head, the last byte 100 ms after the first."""

    def in_pieces(peer, _number):
        request = answer_bystander(peer, peer.request_or_end())
        while request:
            peer.send(HEAD_OF_A_BODY)
            time.sleep(0.1)
            peer.send(BODY[:1])
            time.sleep(0.1)
            peer.send(BODY[1:])
            request = peer.request_or_end()

    with serving(in_pieces) as url:
        order = order_for(timeouts.comparison, "sync", url, first_byte=True)
        result = run_round(generator, order)
    for _, latency, status, _, error, first_byte in result.samples:
        assert (status, error) == (200, None)
        assert 100 <= first_byte < latency
        assert latency >= 200


# --- Bodies

SLOWLY = """
import json
import gevent
from loadtests.locustfile import SlowBody
events = []
gevent.sleep = lambda seconds: events.append(["sleep", seconds])
body = SlowBody(bytes(1000), 2.0)
while piece := body.read(64):
    events.append(["piece", len(piece)])
print(json.dumps([len(body), events]))
"""


def test_slow_body_comes_in_pieces_evenly_over_its_time():
    length, events = json.loads(python("-c", SLOWLY).stdout)
    assert length == 1000
    assert events == [["sleep", 0.1], ["piece", 50]] * 20
