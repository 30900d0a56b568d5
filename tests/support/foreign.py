"""A site that is none of ours: Python's own HTTP server, in this process."""

import socket
import ssl
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import psutil
import pytest

ANSWERS = {  # by path: status, headers, body
    "/": (200, {}, "home"),
    "/orders/": (200, {}, "orders"),
    "/missing/": (404, {}, ""),
    "/private/": (403, {}, ""),
    "/account/": (302, {"Location": "/login/?next=/account/"}, ""),
    "/old/": (301, {"Location": "/orders/"}, ""),
    "/elsewhere/": (301, {"Location": "https://www.example.org/elsewhere/"}, ""),
    "/broken/": (500, {}, "<title>Server Error</title>"),
    "/often/": (429, {}, ""),
}


class Site(ThreadingHTTPServer):
    """asked: the method and the path of each request."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, address):
        super().__init__((address, 0), Handler)
        self.asked = []

    def handle_error(self, request, client_address):
        """Whoever connects and says nothing, or no TLS, is no error of a test."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        path = self.path.partition("?")[0]
        status, headers, body = ANSWERS.get(path, ANSWERS["/missing/"])
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def site(address="127.0.0.1", certificate=None):
    """A Site that answers; with a certificate's file, over HTTPS."""
    with Site(address) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        scheme = "https" if certificate else "http"
        server.url = f"{scheme}://{address}:{server.server_port}"
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def self_signed(folder):
    """The file of a certificate of 127.0.0.1, with its key; it trusts itself."""
    file = folder / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [
            *(*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(file), "-out", str(folder / "public.pem")),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (folder / "public.pem").read_text())
    return file


def own_address():
    """An address of this machine that is not its loopback's."""
    for found in psutil.net_if_addrs().values():
        for one in found:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return one.address
    return pytest.skip("this machine has no address but its loopback's")
