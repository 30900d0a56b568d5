"""Django's ASGI handler without the thread hops that nothing needs: one module, made to be copied.

    application = DirectASGIHandler()  # after django.setup(), in place of get_asgi_application()

Django's own goes to a thread at least twice in a request, for the sync receivers of
`request_started` and for `response.close()`, and starts and ends that thread. What Django itself
does there looks after what the request's thread holds, its database connections above all: where a
request has used no thread, there is nothing to look after. What else must be in a thread (sync
views and middleware, receivers and closers of others, files on disk) is there, as with Django's.

For Django 5.2 to 6.1. Under 5.2 it behaves as 6.1 does: the view runs in the request's own task, so
that what it sets in context variables lasts until the request's end.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from types import MethodType, coroutine
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.cache import caches, close_caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal, dispatcher
from django.http import HttpResponseBase
from django.urls import set_script_prefix
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

# Whether sync code is further up. Where it is missing it costs an exception, for each request.
AsyncToSync.executors.current = getattr(AsyncToSync.executors, "current", None)


class DirectASGIHandler(ASGIHandler):
    """Serve ASGI requests as `ASGIHandler` does, and in a thread only what must be there."""

    # Of the signals: receivers that were connected for Django's handler are called for ours. Of the
    # class, not set by __init__, which subclasses need not call (ASGIStaticFilesHandler does not).
    _sender: type = ASGIHandler

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._sender = cls

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)  # which refuses it
            return
        thread = RequestThread()
        thread.enter()
        try:
            await self.handle(scope, receive, send)
        except BaseException:
            await thread.wait_and_leave()
            raise
        thread.leave()

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        """Adapt a middleware to its neighbour, and hooks to the handler, as `BaseHandler` does.

        Hooks of Django's own middleware that wait for nothing are called on the event loop.
        """
        middleware: Any = getattr(method, "__wrapped__", None)  # convert_exception_to_response's
        if method_is_async and name_of(type(middleware)) in WAITS:
            middleware.__acall__ = with_hooks(middleware)
        if is_async and name_of(type(getattr(method, "__self__", None))) in WAITS:
            return on_loop(method)
        return super().adapt_method_mode(is_async, method, method_is_async, debug, name)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body_file):
            set_script_prefix(get_script_prefix(scope))
            await start(self._sender, scope)
            request: Any
            request, error_response = self.create_request(scope, body_file)
            if error_response is not None:
                await self.send_response(error_response, send)
                await close(error_response)
                return
            response = await self.answer(request, receive, send)
            if response is None:
                await request_finished.asend(sender=self._sender)
            else:
                await close(response, request)

    async def answer(self, request: Any, receive: Any, send: Any) -> Any:
        """Send the response and return it; None if the client has gone before there was one.

        A request that never waits is spared the task that listens for the end of the connection:
        nothing is read from it until the event loop has its turn.
        """
        response: Any = None

        async def get_and_send() -> None:
            nonlocal response
            response = await self.run_get_response(request)
            response._handler_class = self._sender
            await self.send_response(response, send)

        sending = get_and_send()
        try:
            awaited = sending.send(None)
        except (StopIteration, RequestAborted):
            return response
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    listening = group.create_task(self.listen_for_disconnect(receive))
                    await resumed(sending, awaited)
                    listening.cancel()
            except* RequestAborted:
                pass
        except BaseExceptionGroup as errors:
            if len(errors.exceptions) == 1:
                raise errors.exceptions[0]  # noqa: B904  with its own cause
            raise
        return response

    async def read_body(self, receive: Any) -> Any:
        """Read the body as `ASGIHandler` does, but for an empty one, which takes no file."""
        first = await receive()
        if first["type"] == "http.request" and not (first.get("body") or first.get("more_body")):
            return BytesIO()
        unread = [first]

        async def receive_again() -> Any:
            return unread.pop() if unread else await receive()

        return await super().read_body(receive_again)


class RequestThread(ThreadSensitiveContext):
    """A thread of the request's own for thread-sensitive code, made when there is any.

    asgiref starts another thread, for each request, that waits for the end of the first.
    """

    def enter(self) -> None:
        if SyncToAsync.thread_sensitive_context.get(None) is None:
            self.token = SyncToAsync.thread_sensitive_context.set(self)
        # There is sync code further up, in whose thread the request's runs (`async_to_sync`).
        self._is_of_caller = getattr(AsyncToSync.executors, "current", None) is not None

    def leave(self) -> None:
        """Let the thread end; all that it was given to do was awaited."""
        if self.token:
            SyncToAsync.thread_sensitive_context.reset(self.token)
            self.token = None
            if thread := SyncToAsync.context_to_thread_executor.pop(self, None):
                thread.shutdown(wait=False)

    async def wait_and_leave(self) -> None:
        """Wait for the end of what the thread still does: its request was cancelled."""
        parent: Any = super()
        await parent.__aexit__(None, None, None)

    def is_used(self) -> bool:
        """Tell whether the request may have run anything in a thread already."""
        threads = SyncToAsync.context_to_thread_executor
        return self._is_of_caller or self in threads


@coroutine
def resumed(started: Any, awaited: Any) -> Any:
    """Await the rest of a coroutine that was started and waits for `awaited`."""
    while True:
        try:
            result = yield awaited
        except BaseException as error:
            resume, argument = started.throw, error
        else:
            resume, argument = started.send, result
        try:
            awaited = resume(argument)
        except StopIteration:
            return


# --- Middleware: each sync hook is a hop into the thread, though few of Django's own have to wait


def never(*_: Any) -> bool:
    return False


def session_waits(request: Any) -> bool:
    """Tell whether making the session may wait: Django's own connect later, but for files."""
    engine = settings.SESSION_ENGINE.removeprefix("django.contrib.sessions.backends.")
    if engine in ("cache", "cached_db"):
        backend: str = caches.settings[settings.SESSION_CACHE_ALIAS]["BACKEND"]
        return not backend.startswith("django.core.cache.backends.")
    return engine not in ("db", "signed_cookies")


def session_is_saved(request: Any, response: Any) -> bool:
    session = getattr(request, "session", None)
    if session is None:
        return False
    is_djangos = type(session).__module__.startswith("django.contrib.sessions.backends.")
    return not is_djangos or session.modified or settings.SESSION_SAVE_EVERY_REQUEST


def csrf_is_in_session(*_: Any) -> bool:
    return bool(settings.CSRF_USE_SESSIONS)


def csrf_reads_body(request: Any, *_: Any) -> bool:
    return request.method not in ("GET", "HEAD", "OPTIONS", "TRACE")


def messages_wait(request: Any) -> bool:
    return not settings.MESSAGE_STORAGE.startswith("django.contrib.messages.storage.")


def messages_are_stored(request: Any, response: Any) -> bool:
    messages = getattr(request, "_messages", None)
    return messages is not None and (messages_wait(request) or messages.used or messages.added_new)


# Startproject's middleware, and when a hook of theirs may wait: for a file, a database, a cache, or
# for what a project has put in its place. No subclass: what it overrides may always wait.
WAITS: dict[str, dict[str, Callable[..., bool]]] = {
    "django.middleware.security.SecurityMiddleware": {
        "process_request": never,
        "process_response": never,
    },
    "django.contrib.sessions.middleware.SessionMiddleware": {
        "process_request": session_waits,
        "process_response": session_is_saved,
    },
    "django.middleware.common.CommonMiddleware": {
        # They look for the URL with a slash, by the converters that a project has.
        "process_request": lambda request: settings.PREPEND_WWW,
        "process_response": lambda request, response: response.status_code == 404,
    },
    "django.middleware.csrf.CsrfViewMiddleware": {
        "process_request": csrf_is_in_session,
        "process_view": csrf_reads_body,
        "process_response": csrf_is_in_session,
    },
    "django.contrib.auth.middleware.AuthenticationMiddleware": {
        "process_request": never,  # both `user` and `auser` ask when they are asked
    },
    "django.contrib.messages.middleware.MessageMiddleware": {
        "process_request": messages_wait,
        "process_response": messages_are_stored,
    },
    "django.middleware.clickjacking.XFrameOptionsMiddleware": {"process_response": never},
}


def name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def is_of(method: Any, module: str) -> bool:
    """Tell whether the method is as this module has it, and no tool (for tracing) wraps it."""
    function = method.__func__ if type(method) is MethodType else None
    return getattr(function, "__globals__", {}).get("__name__") == module


def on_loop(hook: Any) -> Any:
    """Return this hook of one of WAITS as an async one, in the thread only where it may wait.

    One that is new to us, or not Django's, may always.
    """
    cls = type(hook.__self__)
    waits = WAITS[name_of(cls)].get(hook.__name__) if is_of(hook, cls.__module__) else None
    in_thread = sync_to_async(hook, thread_sensitive=True)

    async def called(*args: Any) -> Any:
        return await in_thread(*args) if waits is None or waits(*args) else hook(*args)

    return called


def with_hooks(middleware: Any) -> Any:
    """Return what the middleware's `__acall__` does (MiddlewareMixin), with its hooks `on_loop`."""
    if not is_of(middleware.__acall__, MiddlewareMixin.__module__):
        return middleware.__acall__
    names = ("process_request", "process_response")
    hooks = [getattr(middleware, name, None) for name in names]
    before, after = (on_loop(hook) if hook else None for hook in hooks)

    async def called(request: Any) -> Any:
        response = await before(request) if before else None
        response = response or await middleware.get_response(request)
        return await after(request, response) if after else response

    return called


# --- The signals of a request, and its response's end


async def start(sender: type, scope: Any) -> None:
    """Send `request_started`; on the event loop if no receiver needs a thread."""
    receivers = receivers_of(request_started, sender)
    if needs_thread(receivers):
        await request_started.asend(sender=sender, scope=scope)
    elif receivers.asynchronous:
        await send_to(receivers.asynchronous, request_started, sender, scope=scope)


async def close(response: Any, request: ASGIRequest | None = None) -> None:
    """Close the response, which sends `request_finished`; on the event loop if it may be there."""
    sender = response._handler_class
    receivers = receivers_of(request_finished, sender)
    if needs_thread(receivers) or not closes_at_once(response, request):
        await sync_to_async(response.close)()
        return
    # As `HttpResponseBase.close` does.
    if request is not None:
        with suppress(Exception):
            request.close()
    response._resource_closers.clear()
    response.closed = True
    if receivers.reset_urlconf:
        reset_urlconf(sender)
    if receivers.asynchronous:
        await send_to(receivers.asynchronous, request_finished, sender)


_close_response, _close_request = HttpResponseBase.close, ASGIRequest.close


def closes_at_once(response: Any, request: ASGIRequest | None) -> bool:
    """Tell whether closing the response runs only code of Django's that waits for nothing."""
    if getattr(response.close, "__func__", None) is not _close_response:
        return False
    if request is None:
        return not response._resource_closers
    return (
        response._resource_closers == [request.close]
        and getattr(request.close, "__func__", None) is _close_request
        and not getattr(request, "_files", None)  # uploads, which may be files on disk
        and not getattr(request._stream, "_rolled", False)
    )


def has_thread() -> bool:
    """Tell whether the request may have run anything in a thread already."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    return not isinstance(context, RequestThread) or context.is_used()


def has_open_cache() -> bool:
    """Tell whether the request has used a cache whose `close` does anything."""
    if not any(closes(configured.get("BACKEND", "")) for configured in caches.settings.values()):
        return False
    used = caches.all(initialized_only=True)
    return any(type(one).close is not BaseCache.close for one in used)


@cache
def closes(backend: str) -> bool:
    """Tell whether this class of cache has a `close` of its own; most have none."""
    with suppress(Exception):  # wrong settings harm only whoever uses them
        return import_string(backend).close is not BaseCache.close
    return True


# The receivers that Django itself connects, and when they have anything to do in a thread.
_CHECKS: dict[Any, Callable[[], bool]] = {
    reset_queries: has_thread,  # of the thread's connections
    close_old_connections: has_thread,
    close_caches: has_open_cache,
    reset_urlconf: lambda: False,  # a context variable
}
DJANGOS = {id(receiver): check for receiver, check in _CHECKS.items()}  # others may have no hash


@dataclass(frozen=True)
class Receivers:
    """The live receivers of a signal. checks: what tells that the sync ones need a thread."""

    sync: list[Any]
    asynchronous: list[Any]

    @cached_property
    def checks(self) -> set[Callable[[], bool]]:
        found = {DJANGOS.get(id(receiver), lambda: True) for receiver in self.sync}
        return found - {DJANGOS[id(reset_urlconf)]}

    @cached_property
    def reset_urlconf(self) -> bool:
        return any(receiver is reset_urlconf for receiver in self.sync)

    @property
    def are_djangos(self) -> bool:
        return not self.asynchronous and all(id(receiver) in DJANGOS for receiver in self.sync)


def needs_thread(receivers: Receivers) -> bool:
    for check in receivers.checks:  # noqa: SIM110  any() takes a microsecond
        if check():
            return True
    return False


_djangos: dict[tuple[Signal, Any], tuple[list[Any], Receivers]] = {}


def receivers_of(signal: Signal, sender: Any) -> Receivers:
    """Return the signal's live receivers for this sender.

    To find them takes a lock and a loop. Where they are Django's own, which live as long as the
    process, what was found last is right for as long as the same are connected.
    """
    connected, found = _djangos.get((signal, sender), (None, None))
    if found is None or connected != signal.receivers:
        connected = list(signal.receivers)
        found = Receivers(*signal._live_receivers(sender))
        if found.are_djangos:
            _djangos[signal, sender] = connected, found
    return found


# Under Django 6.1 what they set in context variables is kept.
_run_parallel = getattr(dispatcher, "_run_parallel", asyncio.gather)


async def send_to(receivers: list[Any], signal: Signal, sender: Any, **named: Any) -> None:
    """Send the signal to these async receivers, all at once, as `Signal.asend` does."""
    await _run_parallel(*(each(signal=signal, sender=sender, **named) for each in receivers))
