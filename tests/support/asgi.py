"""A server of ASGI in the test's own process: each request to an application is a task."""

import asyncio
from urllib.parse import urlsplit

from tests.support.clients import PATIENCE


def scope_of(url="/", **more):
    """Return the scope of a request, as a server makes it."""
    parts = urlsplit(url)
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    } | more


class Exchange:
    """A request to an application, and what the application sends.

    body: the messages that bring it, as bytes each. Without `whole`, more is to come, which never
    does. After the last one the client stays, and says nothing, until `disconnect`.
    """

    def __init__(self, application, url="/", *, body=(), whole=True, **scope):
        self.scope = scope_of(url, **scope)
        self.sent = []
        self.incoming = asyncio.Queue()
        self._sending = asyncio.Condition()
        messages = list(body) or [b""]
        for number, part in enumerate(messages, 1):
            more = number < len(messages) or not whole
            self.say({"type": "http.request", "body": part, "more_body": more})
        self.task = asyncio.create_task(application(self.scope, self.incoming.get, self.send))

    def say(self, message):
        self.incoming.put_nowait(message)

    def disconnect(self):
        self.say({"type": "http.disconnect"})

    async def leave(self):
        """Disconnect, and wait for the application's end."""
        self.disconnect()
        return await self.end()

    async def send(self, message):
        self.sent.append(message)
        async with self._sending:
            self._sending.notify_all()

    async def has_sent(self, count):
        """Wait until the application has sent so many messages."""
        async with self._sending:
            await self._sending.wait_for(lambda: len(self.sent) >= count)

    async def end(self):
        """Wait for the application's end; its exception is raised here."""
        async with asyncio.timeout(PATIENCE):
            await self.task
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return {name.decode().lower(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def chunks(self):
        return [message["body"] for message in self.sent[1:] if message.get("body")]

    @property
    def body(self):
        return b"".join(self.chunks)


async def ask(application, url="/", **how):
    """Send a request and wait until the application is through with it."""
    return await Exchange(application, url, **how).end()


def run(coroutine):
    """Run in a loop of its own; assert that no task is left, and that no callback has failed."""

    async def main():
        failed = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failed.append(context))
        result = await coroutine
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.sleep(0)  # what was put off until now may fail now
        assert not left, left
        assert not failed, failed
        return result

    return asyncio.run(main())


def form(**fields):
    """Return the headers and the body of a form with files: name=("file.txt", b"content")."""
    lines = []
    for name, value in fields.items():
        filename, content = value if isinstance(value, tuple) else (None, value.encode())
        of_file = f'; filename="{filename}"\r\nContent-Type: text/plain' if filename else ""
        disposition = f'Content-Disposition: form-data; name="{name}"{of_file}'
        lines += [b"--boundary", disposition.encode(), b"", content]
    body = b"\r\n".join([*lines, b"--boundary--", b""])
    return {
        "method": "POST",
        "headers": [
            (b"content-type", b"multipart/form-data; boundary=boundary"),
            (b"content-length", str(len(body)).encode()),
        ],
        "body": [body],
    }


def side():
    """Tell whether this runs on an event loop or in a thread without one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "thread"
    return "loop"


class Events(list):
    """What happened, in order, and on which side: (name, "loop" or "thread")."""

    def happen(self, name):
        self.append((name, side()))
