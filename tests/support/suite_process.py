"""One run of Django's own tests with one ASGI handler: the process that `django_suite` starts.

    python -m tests.support.suite_process HANDLER FOLDER REPORT LABEL ...

HANDLER is the dotted path of a class, FOLDER holds Django's `runtests.py`, and REPORT is the JSON
file that is written at the end. Beyond what Django's tests do by themselves:

- Their async client goes through the handler. Django's calls the middleware by itself, so that the
  greater part of the async tests would never meet a handler.
- Each async test that has no database runs a second time, directly on an event loop. Django runs
  it inside `async_to_sync`, which gives a request the thread of the test: no server does that, and
  what a handler does where there is no such thread would never be tested.
- And a third time so that Django calls views and middleware on the loop, too, as if they were
  async: most of these are sync, and give a request a thread again.

All of this holds for the stock handler too, so that the handler is all that differs.
"""

import asyncio
import json
import os
import runpy
import sys
import unittest
from collections import Counter
from contextlib import ExitStack
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from unittest.mock import patch

# The worst comes last: a test whose subtests differ, or that fails while it is torn down, has two.
KINDS = ("passed", "skipped", "expected failure", "unexpected success", "failed", "error")
ON_A_LOOP, VIEWS_TOO = " (on a loop)", " (on a loop, views too)"


def main(handler_path, folder, report, *labels):
    import django.core.handlers.asgi

    stock = django.core.handlers.asgi.ASGIHandler
    handler = load(handler_path)
    own = {each.__module__ for each in handler.__mro__}
    if early := modules_that_name(stock) - own:
        raise SystemExit(
            f"{', '.join(sorted(early))} took Django's ASGIHandler before it was replaced"
        )
    django.core.handlers.asgi.ASGIHandler = handler
    requests = count_requests(handler)
    send_client_through(handler)
    outcomes = record_outcomes()

    os.chdir(folder)
    # The folder's modules come first, and those of this checkout nowhere.
    sys.path[:] = [folder, *(each for each in sys.path if each not in ("", os.getcwd(), CHECKOUT))]
    sys.argv = ["runtests.py", "--parallel", "1", "--verbosity", "2", *labels]
    try:
        runpy.run_path("runtests.py", run_name="__main__")
    finally:
        missed = set() if handler is stock else modules_that_name(stock) - own
        content = {
            "django": [django.__version__, os.path.dirname(django.__file__)],
            "requests": requests,
            "stock_in": sorted(missed),
            "tests": outcomes,
        }
        Path(report).write_text(json.dumps(content))


CHECKOUT = str(Path(__file__).resolve().parents[2])


def load(path):
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def modules_that_name(thing):
    """Return the names of the modules that have the thing, but for the one that defines it."""
    return {
        name
        for name, module in sys.modules.copy().items()
        if name != thing.__module__ and any(each is thing for each in vars(module).copy().values())
    }


def count_requests(handler):
    """Count the requests that the handler gets, and those that have used no thread."""
    from asgiref.sync import AsyncToSync, SyncToAsync

    counts = Counter(all=0, without_thread=0)
    handle = handler.handle

    async def counted(self, scope, receive, send):
        counts["all"] += 1
        try:
            await handle(self, scope, receive, send)
        finally:
            inherited = getattr(AsyncToSync.executors, "current", None)
            context = SyncToAsync.thread_sensitive_context.get(None)
            if not inherited and context not in SyncToAsync.context_to_thread_executor:
                counts["without_thread"] += 1

    handler.handle = counted
    return counts


def send_client_through(handler):
    """Have Django's `AsyncClient` call the handler as a server does."""
    import django.test.client as client
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections

    class ClientHandler(client.AsyncClientHandler, handler):
        def __init__(self, enforce_csrf_checks=True):
            # As Django's: the middleware is loaded with the first request, so not by the handler.
            self.enforce_csrf_checks = enforce_csrf_checks

        async def __call__(self, scope):
            if self._middleware_chain is None:
                self.load_middleware(is_async=True)
            body = scope.pop("_body_file", None)
            unread = [{"type": "http.request", "body": body.read() if body else b""}]
            sent, responses = [], []

            async def receive():
                if not unread:
                    await asyncio.Event().wait()  # the client stays until it has its answer
                return unread.pop()

            async def send(message):
                sent.append(message.get("body", b""))

            # As Django's does: a test's transaction is in a connection that must stay.
            request_started.disconnect(close_old_connections)
            request_finished.disconnect(close_old_connections)
            self.responses = responses
            try:
                await handler.__call__(self, scope, receive, send)
            finally:
                request_started.connect(close_old_connections)
                request_finished.connect(close_old_connections)
            (response,) = responses
            if response.streaming:
                response.streaming_content = again(sent) if response.is_async else sent
            return response

        async def get_response_async(self, request):
            request._dont_enforce_csrf_checks = not self.enforce_csrf_checks
            response = await super().get_response_async(request)
            client.conditional_content_removal(request, response)
            response.asgi_request = request
            self.responses.append(response)
            return response

    async def again(parts):
        for part in parts:
            yield part

    client.AsyncClientHandler = ClientHandler


def record_outcomes():
    """Have Django's test runner record what becomes of each test: {id: [kind, traceback or ""]}."""
    import django.test.runner as runner
    from django.test import SimpleTestCase, TransactionTestCase

    outcomes = {}

    def record(test, kind, detail=""):
        identity = test.id() + getattr(test, "how", "")
        before = outcomes.get(identity)
        if before is None or KINDS.index(before[0]) <= KINDS.index(kind):
            outcomes[identity] = [kind, detail]

    class Result(unittest.TextTestResult):
        def addSuccess(self, test):  # noqa: N802
            super().addSuccess(test)
            record(test, "passed")

        def addSkip(self, test, reason):  # noqa: N802
            super().addSkip(test, reason)
            record(getattr(test, "test_case", test), "skipped", reason)

        def addExpectedFailure(self, test, err):  # noqa: N802
            super().addExpectedFailure(test, err)
            record(test, "expected failure")

        def addUnexpectedSuccess(self, test):  # noqa: N802
            super().addUnexpectedSuccess(test)
            record(test, "unexpected success")

        def addFailure(self, test, err):  # noqa: N802
            super().addFailure(test, err)
            record(test, "failed", self.failures[-1][1])

        def addError(self, test, err):  # noqa: N802
            super().addError(test, err)
            record(test, "error", self.errors[-1][1])

        def addSubTest(self, test, subtest, err):  # noqa: N802
            super().addSubTest(test, subtest, err)
            if err is not None:
                failed = issubclass(err[0], test.failureException)
                kept = (self.failures if failed else self.errors)[-1][1]
                record(test, "failed" if failed else "error", kept)

    def is_async_without_database(test):
        return (
            isinstance(test, SimpleTestCase)
            and not isinstance(test, TransactionTestCase)
            and iscoroutinefunction(getattr(test, test._testMethodName))
        )

    class Runner(runner.DiscoverRunner):
        def build_suite(self, *args, **kwargs):
            suite = super().build_suite(*args, **kwargs)
            tests = list(runner.iter_test_cases(suite))
            again = [test for test in tests if is_async_without_database(test)]
            for how in (ON_A_LOOP, VIEWS_TOO):
                suite.addTests(on_a_loop(test, how) for test in again)
            return suite

        def get_resultclass(self):
            return Result

    runner.DiscoverRunner = Runner
    return outcomes


def on_a_loop(test, how):
    """Make the async test anew, as a sync one that runs an event loop in this thread."""
    name = test._testMethodName
    again = type(test)(name)
    method = getattr(again, name)

    def run():
        with ExitStack() as stack:
            if how == VIEWS_TOO:
                for module in ("core.handlers.base", "utils.deprecation"):
                    stack.enter_context(patch(f"django.{module}.sync_to_async", as_async))
            asyncio.run(method())

    for mark, value in vars(method).items():
        if mark.startswith("__unittest"):  # skipped, or expected to fail
            setattr(run, mark, value)
    setattr(again, name, run)
    again.how = how
    return again


def as_async(function, **_options):
    """Stand in for `sync_to_async`: the function runs where it is awaited."""

    async def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


if __name__ == "__main__":
    main(*sys.argv[1:])
