"""Ports: which are free, and who listens."""

import socket

from project import ports


def test_whoever_listens_is_seen_and_a_free_port_is_not_taken_by_looking():
    port = ports.free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        assert not ports.is_listening(port)
        listener.listen()
        assert ports.is_listening(port)


def test_next_free_port_is_another():
    assert ports.free_port() != ports.free_port()
