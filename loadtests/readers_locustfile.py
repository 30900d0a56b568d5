"""The users of a locustfile of the reader's own: what they do is its business, and how they wait.

They are loaded into a load generator, and each of their answers is checked for the server's name.
`python -m loadtests.readers_locustfile FILE` says, without sending anything, which users it has, a
name and a weight a line; or what is wrong with it, in one line.
"""

import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import locust
from locust.event import EventHook
from locust.util.load_locustfile import is_user_class

MODULE = "locustfile_of_the_reader"  # so that it hides nothing of ours
CHECKED_USERS = (locust.HttpUser, locust.FastHttpUser)


class LocustfileError(Exception):
    """A locustfile that cannot be used. str() is one line."""


@cache
def load(file: str) -> tuple[list[type[locust.User]], dict[str, list[Any]]]:
    """Return its user classes, and what it listens to: handlers by the event's name.

    Each process loads a file once. LocustfileError if that fails, or if there are no users in it.
    """
    path = Path(file).resolve()
    before = {name: list(hook._handlers) for name, hook in _hooks(locust.events)}
    sys.dont_write_bytecode = True  # nothing is written into the reader's folder
    sys.path.append(str(path.parent))  # for its imports, and after ours
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise LocustfileError(f"{file}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
    except OSError as error:
        raise LocustfileError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (Exception, SystemExit) as error:
        raise LocustfileError(_why(file, path, error)) from None
    classes = [value for value in vars(module).values() if is_user_class(value)]
    own = list(dict.fromkeys(classes))
    for cls in own:
        if not issubclass(cls, CHECKED_USERS):
            raise LocustfileError(f"{file}: {cls.__name__} is no HttpUser and no FastHttpUser")
        if not cls.tasks:
            raise LocustfileError(f"{file}: {cls.__name__} has no tasks")
    if not own:
        raise LocustfileError(f"{file}: it has no user class, an HttpUser or a FastHttpUser")
    handlers = {
        name: [handler for handler in hook._handlers if handler not in before[name]]
        for name, hook in _hooks(locust.events)
    }
    return own, handlers


def _hooks(events: Any) -> list[tuple[str, EventHook]]:
    return [(name, hook) for name, hook in vars(events).items() if isinstance(hook, EventHook)]


def _why(file: str, path: Path, error: BaseException) -> str:
    """Say what went wrong at which of its lines, the last of them that was at work."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{file}:{error.lineno}: {error.msg}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f"{file}:{lines[-1]}" if lines else file
    what = " ".join(str(error).split())
    if isinstance(error, ImportError):
        return f"{place}: {what} (it is loaded by the Python of this project, {sys.executable})"
    return f"{place}: {type(error).__name__}: {what}".removesuffix(": ")


def users_of(file: str) -> list[type[locust.User]]:
    """Make the classes of the round's users: the reader's, whose requests say who makes them."""
    return [_noted(cls) for cls in load(file)[0]]


def _noted(cls: Any) -> type[locust.User]:
    """Make a class of the same, whose requests come to locust's event with their user."""

    def context(self: Any) -> dict[str, Any]:
        return {**cls.context(self), "user": self, "due": None}

    def on_stop(self: Any) -> None:
        try:
            cls.on_stop(self)
        finally:  # at once, as CheckingUser does
            session = self.client.client if isinstance(self, locust.FastHttpUser) else self.client
            session.close()

    members = {"context": context, "on_stop": on_stop, "__module__": cls.__module__}
    return type(f"Readers{cls.__name__}", (cls,), members)


def listen(environment: Any, file: str) -> None:
    """Have the file's own listeners hear of this environment, beginning with its start."""
    for name, handlers in load(file)[1].items():
        for handler in handlers:
            getattr(environment.events, name).add_listener(handler)
    environment.events.init.fire(
        environment=environment, runner=environment.runner, web_ui=environment.web_ui
    )


def on_error(add: Callable[[list[Any]], None]) -> Callable[..., None]:
    """Make the listener to what a task of theirs raises: it is noted as a failed request."""

    def listener(user_instance: Any, exception: Any, tb: Any, **_: Any) -> None:
        frames = traceback.extract_tb(tb)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""
        what = " ".join(str(exception).split())
        add([time.time(), 0.0, 0, 0, f"{place}{type(exception).__name__}: {what}"])

    return listener


def main(file: str) -> None:
    try:
        with redirect_stdout(sys.stderr):  # what it prints is no user
            users = load(file)[0]
    except LocustfileError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for user in users:
        print(f"{user.__name__} {user.weight:g}")


if __name__ == "__main__":
    main(sys.argv[1])
