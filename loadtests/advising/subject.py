"""The reader's project, as its own Python and settings say it is."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.arguments import bad
from project.environment import SWITCHES, without
from project.processes import BASE_DIR, dying_with_parent

INSIDE = BASE_DIR / "project" / "inside"
FACTS_TIMEOUT_S = 60
OLDEST_PYTHON, OLDEST_DJANGO = (3, 10), (4, 2)
# Of the virtual environment that this command runs in.
OF_OUR_PYTHON = dict.fromkeys(
    ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"), ""
)


@dataclass(frozen=True)
class Database:
    alias: str
    kind: str  # postgresql, sqlite3, mysql, ...
    host: str
    port: int
    name: str
    conn_max_age: float | None
    pool: bool
    pool_size: int | None

    @property
    def address(self) -> str:
        if self.kind == "sqlite3":
            return f"SQLite, {self.name}"
        where = f"{self.host or 'localhost'}:{self.port}" if not self.host.startswith("/") else ""
        return f"{self.kind} {where or self.host}, {self.name}"


@dataclass(frozen=True)
class Middleware:
    path: str
    takes_sync: bool
    takes_async: bool
    place: str


@dataclass(frozen=True)
class Subject:
    """python: the program. wsgi, asgi: "module:application", "" where it has none.

    why_not: of an interface that it has not, in words; "" where there is no such file. environ:
    what its processes find in their environment.
    """

    folder: Path
    python: Path
    settings: str
    python_version: str
    versions: Mapping[str, str]
    wsgi: str
    asgi: str
    why_not: Mapping[str, str]
    debug: bool
    ssl_redirect: bool
    login_url: str  # its path
    mails_errors: bool
    allowed_hosts: tuple[str, ...]
    middleware: tuple[Middleware, ...]
    databases: tuple[Database, ...]
    services: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)  # it holds passwords

    @property
    def interfaces(self) -> tuple[str, ...]:
        return tuple(kind for kind in ("wsgi", "asgi") if getattr(self, kind))

    @property
    def database(self) -> Database | None:
        return next((one for one in self.databases if one.alias == "default"), None)

    @property
    def uses(self) -> tuple[str, ...]:
        """Its databases and services, a line each, without passwords."""
        databases = [f"database {one.alias}: {one.address}" for one in self.databases]
        return (*databases, *self.services)

    @property
    def served_so(self) -> tuple[str, ...]:
        """What its measured servers have otherwise than its settings say."""
        lines = []
        if self.debug:
            lines.append("DEBUG = False, as where you deploy it")
        if not {"*", "127.0.0.1"} & set(self.allowed_hosts):
            lines.append("127.0.0.1 in ALLOWED_HOSTS")
        if self.ssl_redirect:
            lines.append("requests count as HTTPS (SECURE_SSL_REDIRECT)")
        if self.mails_errors:
            lines.append("no ADMINS and MANAGERS, who would get mail of errors")
        if (self.folder / "gunicorn.conf.py").exists():
            lines.append("no gunicorn.conf.py, but for --now")
        for kind in {"wsgi", "asgi"} - set(self.interfaces):
            why = self.why_not[kind] or "the project has no such application"
            lines.append(f"no {kind.upper()} server: {why}")
        return tuple(lines)


def find_subject(
    folder: Path, settings: str | None, python: Path | None, given: Mapping[str, str]
) -> Subject:
    """Ask the project. CommandError, in one line that says what to do, if it can't be served.

    settings: None is what its manage.py says. given: variables for its environment.
    """
    if not folder.is_dir():
        raise bad(f"--project: there is no folder {folder}")
    folder = folder.resolve()
    settings = settings or _settings_of(folder)
    python = _python_of(folder, python)
    environ = {**_environ(), **given}
    found = _facts(folder, settings, python, environ)
    version = tuple(map(int, re.findall(r"\d+", found["python"])[:2]))
    if version < OLDEST_PYTHON:
        raise bad(f"{python} is Python {found['python']}: 3.10 is the oldest that can be asked")
    if (error := found.get("error")) == "it has no Django":
        raise bad(f"{python} has no Django: give the project's own with --python")
    if error:
        raise bad(f"{settings} cannot be loaded: {error}{_hint(error, folder, python)}")
    django = found["versions"]["django"]
    if tuple(map(int, re.findall(r"\d+", django)[:2])) < OLDEST_DJANGO:
        raise bad(f"the project has Django {django}: 4.2 is the oldest that can be asked")
    if not (found["wsgi"] or found["asgi"]):
        why = found["wsgi_error"] or found["asgi_error"]
        raise bad(
            f"its application cannot be imported: {why}{_hint(why, folder, python)}"
            if why
            else f"{settings} has neither WSGI_APPLICATION nor ASGI_APPLICATION, and there is "
            "no wsgi.py or asgi.py beside it"
        )
    return Subject(
        folder=folder,
        python=python,
        settings=settings,
        python_version=found["python"],
        versions=found["versions"],
        wsgi=found["wsgi"],
        asgi=found["asgi"],
        why_not={kind: found[f"{kind}_error"] for kind in ("wsgi", "asgi")},
        debug=found["debug"],
        ssl_redirect=found["ssl_redirect"],
        login_url=found["login_url"],
        mails_errors=found["mails_errors"],
        allowed_hosts=tuple(found["allowed_hosts"]),
        middleware=tuple(
            Middleware(one["path"], one["sync"], one["async"], one["place"])
            for one in found["middleware"]
        ),
        databases=tuple(_database(*item) for item in found["databases"].items()),
        services=tuple(found["services"]),
        environ=environ,
    )


def _settings_of(folder: Path) -> str:
    """Find what manage.py sets, as startproject writes it."""
    manage = folder / "manage.py"
    try:
        text = manage.read_text(errors="replace")
    except OSError:
        raise bad(f"{folder} has no manage.py that could be read: give --settings") from None
    found = re.search(r"DJANGO_SETTINGS_MODULE[\"']\s*[,\]]\s*=?\s*[\"']([\w.]+)[\"']", text)
    if not found:
        raise bad(f"{manage} does not say its settings: give --settings")
    return found[1]


def _python_of(folder: Path, given: Path | None) -> Path:
    """Return the project's Python, without following links: a virtual environment is its path."""
    if given:
        if not (found := shutil.which(given)):
            raise bad(f"--python: there is no program {given}")
        return Path(os.path.abspath(found))
    places = [
        parent / name for parent in (folder, folder.parent) for name in (".venv", "venv", "env")
    ]
    active = os.environ.get("VIRTUAL_ENV")
    if active and os.path.realpath(active) != os.path.realpath(sys.prefix):  # not for us only
        places.append(Path(active))
    for place in places:
        if os.access(program := place / "bin" / "python", os.X_OK):
            return program
    raise bad(f"{folder} has no .venv: give the Python that runs the project with --python")


def _environ() -> dict[str, str]:
    """Return this command's environment, without what is ours and what would debug or trace."""
    environ = without({**SWITCHES, **OF_OUR_PYTHON}, os.environ)
    bin_of_ours = os.path.join(sys.prefix, "bin")
    path = environ.get("PATH", os.defpath).split(os.pathsep)
    return environ | {"PATH": os.pathsep.join(place for place in path if place != bin_of_ours)}


def _facts(folder: Path, settings: str, python: Path, environ: Mapping[str, str]) -> Any:
    command = [str(python), "-B", "-m", "advised.facts", settings]
    with subprocess.Popen(
        dying_with_parent(command),
        cwd=folder,
        env={**environ, "PYTHONPATH": python_path(environ)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=FACTS_TIMEOUT_S)
            return json.loads(out)
        except subprocess.TimeoutExpired:
            raise bad(f"{settings} has not been loaded after {FACTS_TIMEOUT_S} s") from None
        except ValueError:
            last = (err.strip().splitlines() or ["it said nothing"])[-1]
            if last.startswith("SyntaxError"):  # of facts.py: it catches theirs
                last = "its Python is too old, 3.10 is the oldest that can be asked"
            raise bad(f"{python} does not tell of {settings}: {last}") from None
        finally:
            with suppress(ProcessLookupError):  # what it has started too
                os.killpg(process.pid, signal.SIGKILL)


def python_path(environ: Mapping[str, str]) -> str:
    """Return PYTHONPATH of the project's processes: what it is told, after what is ours."""
    return os.pathsep.join(filter(None, (str(INSIDE), environ.get("PYTHONPATH"))))


def _hint(error: str, folder: Path, python: Path) -> str:
    """Say what to do about it, where that can be told."""
    if missing := re.match(r"ModuleNotFoundError: No module named '(\w+)", error):
        is_own = any((folder / name).exists() for name in (missing[1], f"{missing[1]}.py"))
        if is_own:
            return ""
        return (
            f" (is {folder} the folder of its manage.py, and {python} the Python that runs it? "
            "if not, give them with --project and --python)"
        )
    if _is_about_environ(error, folder):
        return " (a variable that it needs: set it, or give --env NAME=VALUE)"
    return ""


def _is_about_environ(error: str, folder: Path) -> bool:
    """Tell whether a variable is missing: by what is said, or by the line that failed."""
    if error.startswith("SyntaxError"):
        return False
    if re.search(r"environ|env ?var", error, re.IGNORECASE):
        return True
    if not (named := re.search(r"\((.+):(\d+)\)$", error)):
        return False
    try:
        line = (folder / named[1]).read_text(errors="replace").splitlines()[int(named[2]) - 1]
    except (OSError, IndexError):
        return False
    return bool(re.search(r"environ|getenv|\benv\b", line))


def _database(alias: str, found: Mapping[str, Any]) -> Database:
    return Database(
        alias=alias,
        kind=found["kind"],
        host=found["host"],
        port=found["port"],
        name=found["name"],
        conn_max_age=found["conn_max_age"],
        pool=found["pool"],
        pool_size=found["pool_size"],
    )
