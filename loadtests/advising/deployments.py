"""How a project can be served: by those of our deployments whose server it has, and as today."""

import json
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comparisons.advice import NOW
from loadtests.advising.subject import Subject, python_path
from loadtests.arguments import bad
from project.deployments import DEPLOYMENTS, Deployment, filled
from project.ports import LOOPBACK
from project.processes import dying_with_parent
from project.reasons import reason

# What a server was called before: an option, and the version that it came with.
SINCE = {
    "--no-control-socket": ("gunicorn", (25, 1)),
    "--http-parser": ("gunicorn", (25, 0)),
    "--timeout-graceful-shutdown": ("uvicorn", (0, 22)),
    "--timeout-worker-healthcheck": ("uvicorn", (0, 37)),
    "--blocking-threads-idle-timeout": ("granian", (2, 0)),
}
NEEDS = {  # of our deployments: the packages, each with its oldest version
    "wsgi-sync": {"gunicorn": (20, 0)},
    "wsgi-threads": {"gunicorn": (20, 0)},
    "wsgi-gevent": {"gunicorn": (20, 0), "gevent": (1, 4)},
    "wsgi-granian": {"granian": (2, 0)},
    "asgi-uvicorn": {"uvicorn": (0, 20)},
    "asgi-workers": {"uvicorn": (0, 20)},
    "asgi-granian": {"granian": (2, 0)},
    "asgi-gunicorn": {"gunicorn": (24, 0)},
}
# Nothing, in place of the folder's gunicorn.conf.py: a candidate has the shape that it says.
UNCONFIGURED = ("--config", "python:advised")
CONFIG_TIMEOUT_S = 60  # gunicorn imports the application to print it
POOL_TIMEOUT_S = 30  # psycopg_pool's own: how long a request waits for a connection


@dataclass(frozen=True)
class SubjectDeployment(Deployment):
    """Serves the reader's application, with ours around it (project/inside/advised/served.py).

    database: "" is what its settings say; "persistent" and "pool" (of pool_size) change them.
    words: of the command, in place of `command`. given: variables that the command sets itself.
    """

    database: str = ""
    pool_size: int | None = None
    probes: bool = False
    words: tuple[str, ...] = ()
    copied: str = ""  # NOW: as it was given
    given: tuple[tuple[str, str], ...] = ()
    of: Subject = field(kw_only=True, compare=False)

    @property
    def folder(self) -> Path:
        return self.of.folder

    @property
    def own_paths(self) -> str:
        return "/__advise__/"

    def argv(self, port: int, address: str = LOOPBACK) -> list[str]:
        words = filled(self.words, str(self.of.python), port, address, self.workers, self.threads)
        return [*words, f"advised.served:{self.interface}"]

    def environ(self, nonce: str, own: Mapping[str, str]) -> dict[str, str]:
        theirs = {**self.of.environ, **dict(self.given)}
        return {
            **theirs,
            **own,
            "DJANGO_SETTINGS_MODULE": self.of.settings,
            "PYTHONPATH": python_path(theirs),
            "PYTHONDONTWRITEBYTECODE": "1",  # nothing is written into the reader's folder
            "PYTHONUNBUFFERED": "1",
            "ADVISE_NAME": f"{self.name} {nonce}",
            "ADVISE_APP": self.of.wsgi if self.interface == "wsgi" else self.of.asgi,
            "ADVISE_SERVE": json.dumps(self._serve()),
            "ADVISE_PROBES": "1" if self.probes else "",
        }

    def _serve(self) -> dict[str, object]:
        serve: dict[str, object] = {
            "debug": False,
            "hosts": ["127.0.0.1", "localhost"],
            "https": self.of.ssl_redirect,
        }
        if self.database == "persistent":
            serve["conn_max_age"] = None
        if self.database == "pool":
            serve["conn_max_age"] = 0  # Django refuses a pool and kept connections together
            serve["pool"] = {
                "min_size": 1,
                "max_size": self.pool_size,
                "timeout": POOL_TIMEOUT_S,
            }
        return serve

    @property
    def command_to_copy(self) -> str:
        """What the reader would run."""
        if self.copied:
            return self.copied
        app = self.of.wsgi if self.interface == "wsgi" else self.of.asgi
        uvicorn = f"uvicorn {app}" + (f" --workers {self.workers}" if self.workers > 1 else "")
        return {
            "wsgi-sync": f"gunicorn {app} --workers {self.workers}",
            "wsgi-threads": (
                f"gunicorn {app} --worker-class gthread --workers {self.workers}"
                f" --threads {self.threads}"
            ),
            "wsgi-gevent": f"gunicorn {app} --worker-class gevent --workers {self.workers}",
            "wsgi-granian": (
                f"granian --interface wsgi {app} --workers {self.workers}"
                f" --blocking-threads {self.threads}"
            ),
            "asgi-uvicorn": uvicorn,
            "asgi-workers": uvicorn,
            "asgi-granian": f"granian --interface asgi {app} --workers {self.workers}",
            "asgi-gunicorn": f"gunicorn {app} --worker-class asgi --workers {self.workers}",
        }[self.name]

    @property
    def settings_to_copy(self) -> tuple[str, ...]:
        """What the settings need for it, a line each."""
        if self.database == "persistent":
            return ('DATABASES["default"]["CONN_MAX_AGE"] = None',)
        if self.database == "pool":
            size = f'{{"min_size": 1, "max_size": {self.pool_size}}}'
            return (
                'DATABASES["default"]["CONN_MAX_AGE"] = 0',
                f'DATABASES["default"].setdefault("OPTIONS", {{}})["pool"] = {size}',
            )
        return ()


def deployments_of(subject: Subject) -> dict[str, SubjectDeployment]:
    """Return those of our deployments that it can be served by. CommandError if there is none."""
    found = {
        name: _of(DEPLOYMENTS[name], subject)
        for name, needs in NEEDS.items()
        if DEPLOYMENTS[name].interface in subject.interfaces
        and all(version_of(subject, package) >= oldest for package, oldest in needs.items())
    }
    if not found:
        servers = "gunicorn or granian" if subject.wsgi else "uvicorn or granian"
        raise bad(
            f"{subject.python} has no server for it: install {servers} "
            f"({subject.python} -m pip install {servers.split()[0]})"
        )
    return found


def version_of(subject: Subject, package: str) -> tuple[int, ...]:
    """Return a package's version as numbers; () where it is not installed."""
    numbers = re.findall(r"\d+", subject.versions.get(package, ""))
    return tuple(map(int, numbers[:2]))


def _of(deployment: Deployment, subject: Subject) -> SubjectDeployment:
    words = deployment.command.split()
    for option, (package, since) in SINCE.items():
        if option in words and version_of(subject, package) < since:
            place = words.index(option)
            takes_value = place + 1 < len(words) and not words[place + 1].startswith("-")
            del words[place : place + 1 + takes_value]
    for package, instead in (("uvloop", "asyncio"), ("httptools", "h11")):
        if package in words and not version_of(subject, package):
            words[words.index(package)] = instead
    if "gunicorn" in words:
        words += UNCONFIGURED
    return SubjectDeployment(
        name=deployment.name,
        about=deployment.about,
        interface=deployment.interface,
        command="",
        app="",
        workers=deployment.workers,
        threads=deployment.threads,
        can_fork=True,
        can_thread=deployment.can_thread,
        words=tuple(words),
        of=subject,
    )


# --- What runs today


@dataclass(frozen=True)
class Program:
    """A server's command line. dropped: its options that would hinder, True if one takes a value.

    ours: what it is told in their place. workers, threads, worker_class, interface: its options
    that say so.
    """

    dropped: Mapping[str, bool]
    ours: str
    workers: tuple[str, ...] = ("-w", "--workers")
    threads: tuple[str, ...] = ()
    worker_class: tuple[str, ...] = ()
    interface: tuple[str, ...] = ()


_LOGS = {"--access-logfile": True, "--error-logfile": True, "--log-level": True}
_TLS = {
    **{"--ssl-keyfile": True, "--ssl-certfile": True, "--ssl-certificate": True},
    **{"--certfile": True, "--keyfile": True},
}
PROGRAMS = {
    "gunicorn": Program(
        {
            **{"-b": True, "--bind": True, "-p": True, "--pid": True, "-D": False},
            **{"--daemon": False, "--reload": False, "--log-file": True, "--log-config": True},
            **{"-u": True, "--user": True, "-g": True, "--group": True, "--statsd-host": True},
            **{"--log-config-json": True, "--check-config": False, "--print-config": False},
            **_LOGS,
            **_TLS,
        },
        "--bind 127.0.0.1:{port} --log-level error --no-control-socket",
        threads=("--threads",),
        worker_class=("-k", "--worker-class"),
    ),
    "uvicorn": Program(
        {
            **{"--host": True, "--port": True, "--uds": True, "--fd": True, "--reload": False},
            **{"--reload-dir": True, "--reload-include": True, "--reload-exclude": True},
            **{"--reload-delay": True, "--access-log": False, "--no-access-log": False},
            **{"--log-config": True, "--root-path": True},
            **_LOGS,
            **_TLS,
        },
        "--host 127.0.0.1 --port {port} --no-access-log --log-level error",
        workers=("--workers",),
    ),
    "granian": Program(
        {
            **{"--host": True, "--port": True, "--uds": True, "--reload": False},
            **{"--access-log": False, "--no-access-log": False, "--pid-file": True},
            **{"--log-config": True, "--url-path-prefix": True, "--metrics": False},
            **_LOGS,
            **_TLS,
        },
        "--host 127.0.0.1 --port {port} --no-access-log --log-level error",
        workers=("--workers",),
        threads=("--blocking-threads",),
        interface=("--interface",),
    ),
    "daphne": Program(
        {
            **{"-b": True, "--bind": True, "-p": True, "--port": True, "-u": True},
            **{"--unix-socket": True, "-e": True, "--endpoint": True, "--fd": True},
            **{"--access-log": True, "-v": True, "--verbosity": True, "--root-path": True},
        },
        "-b 127.0.0.1 -p {port} -v 0",
        workers=(),
    ),
    "hypercorn": Program(
        {
            **{"-b": True, "--bind": True, "--reload": False, "-p": True, "--pid": True},
            **{"--insecure-bind": True, "--quic-bind": True, "--root-path": True},
            **_LOGS,
            **_TLS,
        },
        "--bind 127.0.0.1:{port} --log-level error",
    ),
}


# What a command stands behind in a shell, a Procfile or a unit.
WRAPPERS = (("exec",), ("env",), ("nohup",), *((name, "run") for name in ("uv", "poetry", "pdm")))
WRAPPERS += (("pipenv", "run"),)


def parse_now(text: str, subject: Subject) -> SubjectDeployment:
    """Read the command that serves the project today. CommandError where it can't be understood."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise bad(f"--now: {text!r} is no command: {error}") from None
    given: dict[str, str] = {}
    while words and (re.match(r"[A-Za-z_]\w*=", words[0]) or _wrapper(words)):
        if length := _wrapper(words):
            del words[:length]
        else:
            name, _, value = words.pop(0).partition("=")
            given[name] = value
    settings = given.get("DJANGO_SETTINGS_MODULE", subject.settings)
    if settings != subject.settings:
        raise bad(f"--now has {settings}, but {subject.settings} was asked: give --settings too")
    if len(words) > 2 and Path(words[0]).name.startswith("python") and words[1] == "-m":
        words = words[2:]
    program = Path(words[0]).name if words else ""
    if program not in PROGRAMS:
        if "runserver" in words:
            raise bad("--now: runserver is for development; leave --now out, or say what serves it")
        raise bad(f"--now: {program!r} is none of {', '.join(PROGRAMS)}; leave --now out")
    if not version_of(subject, program):
        raise bad(f"--now: {subject.python} has no {program}")
    known = PROGRAMS[program]
    rest = _without(words[1:], known.dropped)
    interface, app = _application(rest, subject)
    kept = [word for word in rest if word != app]
    configured = _configured(kept, app, subject, given) if program == "gunicorn" else {}
    if not interface and (app := configured.get("wsgi_app", "")):
        interface, _ = _application([app], subject)
    if not interface:
        names = " or ".join(getattr(subject, kind) for kind in subject.interfaces)
        raise bad(f"--now: {text!r} names no application of the project: {names}")
    if known.interface:
        _check_interface(_value(kept, known.interface), interface, program)
    ours = known.ours.split()
    for option, (package, since) in SINCE.items():
        if option in ours and version_of(subject, package) < since:
            ours.remove(option)
    escaped = [word.replace("{", "{{").replace("}", "}}") for word in kept]
    own_count = given.get("WEB_CONCURRENCY") if program in ("gunicorn", "uvicorn") else None
    workers = configured.get("workers", _value(kept, known.workers))
    threads = configured.get("threads", _value(kept, known.threads))
    worker_class = configured.get("worker_class", _value(kept, known.worker_class) or "")
    return SubjectDeployment(
        name=NOW,
        about="as it runs today",
        interface="wsgi" if interface == "wsgi" else "asgi",
        command="",
        app="",
        workers=_count(own_count if workers is None else workers, "processes"),
        threads=_threads(threads, interface, program, worker_class),
        can_thread=False,
        words=("{python}", "-m", program, *escaped, *ours),
        copied=text,
        given=tuple(given.items()),
        of=subject,
    )


def _wrapper(words: Sequence[str]) -> int:
    """Return how many words at the beginning run the command that comes after them."""
    found = (wrapper for wrapper in WRAPPERS if tuple(words[: len(wrapper)]) == wrapper)
    return len(next(found, ()))


def _application(words: Sequence[str], subject: Subject) -> tuple[str, str]:
    """Return whose application these words name, and the word; "" if none does."""
    for kind in subject.interfaces:
        full: str = getattr(subject, kind)
        for word in words:
            if word in (full, full.partition(":")[0]):
                return kind, word
    return "", ""


def _check_interface(value: str | None, interface: str, program: str) -> None:
    spoken = "asgi" if value == "asginl" else value
    if spoken != interface:
        said = f"has --interface {value}" if value else "says no --interface"
        raise bad(f"--now: {program} {said}, but its application is {interface.upper()}")


def _configured(
    words: Sequence[str], app: str, subject: Subject, given: Mapping[str, str]
) -> dict[str, str]:
    """Ask gunicorn for its settings, if a file of configuration says some of them; {} if none."""
    if not (
        _value(words, ("-c", "--config"))
        or "GUNICORN_CMD_ARGS" in given
        or (subject.folder / "gunicorn.conf.py").exists()
    ):
        return {}
    environ = {**subject.environ, **given}
    command = [str(subject.python), "-B", "-m", "gunicorn", *words, "--print-config"]
    try:
        asked = subprocess.run(
            dying_with_parent([*command, app] if app else command),
            cwd=subject.folder,
            env=environ | {"DJANGO_SETTINGS_MODULE": subject.settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=CONFIG_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise bad(f"--now: gunicorn has not read it after {CONFIG_TIMEOUT_S} s") from None
    found = dict(re.findall(r"^(\w+) *= (.*)$", asked.stdout, re.MULTILINE))
    if asked.returncode or "workers" not in found:
        raise bad(f"--now: gunicorn does not take it: {reason(asked.stderr or asked.stdout)}")
    if found.get("daemon") == "True":
        raise bad("--now: its configuration has daemon = True, and what leaves cannot be measured")
    return found


def _without(words: Sequence[str], dropped: Mapping[str, bool]) -> list[str]:
    """Leave these options out: `--bind X`, `--bind=X`, `-b X` and `-bX` alike."""
    kept = []
    rest = iter(words)
    for word in rest:
        option, equals, _ = word.partition("=")
        is_short = word[:1] == "-" and word[:2] != "--"
        if option in dropped:
            if dropped[option] and not equals:
                next(rest, None)
        elif not (is_short and dropped.get(word[:2])):
            kept.append(word)
    return kept


def _value(words: Sequence[str], options: Sequence[str]) -> str | None:
    """Return the value that one of these options has last, in any form; None where it has none."""
    found = None
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options:
            found = value if equals else "".join(words[place + 1 : place + 2])
        elif word[:2] in options:
            found = word[2:]
    return found


def _count(value: str | None, of: str) -> int:
    """Return the number, 1 where nothing says it."""
    if value is None:
        return 1
    if not value.isdecimal() or not int(value):
        raise bad(f"--now: {value!r} is no number of {of}")
    return int(value)


def _threads(value: str | None, interface: str, program: str, worker_class: str) -> int:
    if interface == "asgi":
        return 1
    if re.search("gevent|eventlet", worker_class) or (program == "granian" and value is None):
        return 0  # granian has hundreds
    return _count(value, "threads")
