"""Prints what a Django project says of itself: `python -m advised.facts SETTINGS`.

One JSON object. The project's own Python runs it, in the project's folder, so it needs nothing but
that Python (3.10 or newer) and its Django. It connects to nothing. What the project prints
meanwhile goes to stderr. What fails is `{"error": "KeyError: 'SECRET' (shop/settings.py:12)"}`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import platform
import re
import sys
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any

PACKAGES = (
    *("django", "asgiref", "psycopg", "psycopg-pool", "psycopg2", "channels"),
    *("gunicorn", "uvicorn", "granian", "gevent", "daphne", "hypercorn"),
    *("uvloop", "httptools"),
)
PORTS = {"postgresql": 5432, "mysql": 3306, "oracle": 1521, "postgis": 5432}


def facts(settings_module: str) -> dict[str, Any]:
    found: dict[str, Any] = {"python": platform.python_version(), "versions": versions()}
    if "django" not in found["versions"]:
        return {**found, "error": "it has no Django"}
    sys.path.insert(0, os.getcwd())
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    try:
        import django
        from django.conf import settings

        django.setup()
        found.update(of_settings(settings))
    except BaseException as error:  # SystemExit too: whatever their code does
        return {**found, "error": said(error)}
    for kind in ("wsgi", "asgi"):
        found[kind], found[kind + "_error"] = application(settings, kind)
    return found


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def of_settings(settings: Any) -> dict[str, Any]:
    return {
        "debug": bool(settings.DEBUG),
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "ssl_redirect": bool(settings.SECURE_SSL_REDIRECT),
        "login_url": login_url(settings),
        "mails_errors": bool(settings.ADMINS or settings.MANAGERS),
        "middleware": [middleware(path) for path in settings.MIDDLEWARE],
        "databases": {
            alias: database(one)
            for alias, one in settings.DATABASES.items()
            if not one.get("ENGINE", "").endswith("dummy") and one
        },
        "services": services(settings),
    }


def login_url(settings: Any) -> str:
    """Return its path, where LOGIN_URL is the name of a URL or of a view too."""
    from django.shortcuts import resolve_url

    try:
        return str(resolve_url(settings.LOGIN_URL))
    except Exception:  # their urls.py is imported for it: what is wrong there, a request shows
        return str(settings.LOGIN_URL)


def middleware(path: str) -> dict[str, Any]:
    """Return its path, whether it takes sync and async requests, and where it is written."""
    from django.utils.module_loading import import_string

    found = import_string(path)
    return {
        "path": path,
        "sync": bool(getattr(found, "sync_capable", True)),
        "async": bool(getattr(found, "async_capable", False)),
        "place": place_of(found),
    }


def place_of(found: Any) -> str:
    try:
        found = inspect.unwrap(found)
        file, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
        return f"{shown(file)}:{line}" if file else ""
    except (OSError, TypeError):
        return ""


def database(one: Mapping[str, Any]) -> dict[str, Any]:
    engine = str(one.get("ENGINE", ""))
    kind = engine.rpartition(".")[2]
    options = one.get("OPTIONS") or {}
    return {
        "engine": engine,
        "kind": kind,
        "host": str(one.get("HOST") or options.get("host") or ""),
        "port": int(one.get("PORT") or options.get("port") or PORTS.get(kind, 0)),
        "name": str(one.get("NAME") or ""),
        "conn_max_age": one.get("CONN_MAX_AGE", 0),
        "pool": bool(options.get("pool")),
        "pool_size": pool_size(options.get("pool")),
    }


def pool_size(pool: Any) -> int | None:
    """Return how many connections it has at most; psycopg_pool's own default is four."""
    if not pool:
        return None
    given = pool if isinstance(pool, dict) else {}
    return int(given.get("max_size") or given.get("min_size", 4))


def services(settings: Any) -> list[str]:
    """Return a line for each other service that the settings name, without passwords."""
    lines = []
    for alias, cache in settings.CACHES.items():
        kind = str(cache.get("BACKEND", "")).rpartition(".")[2]
        if kind not in ("LocMemCache", "DummyCache"):
            lines.append(f"cache {alias}: {kind} {places(cache.get('LOCATION'))}")
    for alias, layer in getattr(settings, "CHANNEL_LAYERS", {}).items():
        kind = str(layer.get("BACKEND", "")).rpartition(".")[2]
        if kind != "InMemoryChannelLayer":
            hosts = (layer.get("CONFIG") or {}).get("hosts")
            lines.append(f"channel layer {alias}: {kind} {places(hosts)}")
    lines += mail(settings)
    for name in ("CELERY_BROKER_URL", "BROKER_URL"):
        if broker := getattr(settings, name, ""):
            lines.append(f"broker: {without_password(broker)}")
    return [line.strip() for line in lines]


def mail(settings: Any) -> list[str]:
    if mailers := getattr(settings, "MAILERS", None):  # Django 6.1, which then has no EMAIL_HOST
        found = [
            (str(one.get("BACKEND", "")), one.get("OPTIONS") or {}) for one in mailers.values()
        ]
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated from Django 6.1 on
            options = {"host": settings.EMAIL_HOST, "port": settings.EMAIL_PORT}
            found = [(settings.EMAIL_BACKEND, options)]
    servers = [
        f"{options.get('host', 'localhost')}:{options.get('port', 25)}"
        for backend, options in found
        if "smtp" in backend
    ]
    return [f"email: SMTP {server}" for server in servers if server != "localhost:25"]


def places(of: Any) -> str:
    """Return addresses, as caches and channel layers have them: one, a list, pairs, dicts."""
    if isinstance(of, (list, tuple)):
        if len(of) == 2 and isinstance(of[1], int):
            return f"{of[0]}:{of[1]}"
        return ", ".join(places(one) for one in of)
    if isinstance(of, Mapping):
        return places(of.get("address") or of.get("host"))
    return without_password(of) if of else ""


def without_password(url: Any) -> str:
    """Cut off who logs in, and the query, of a URL or of something like it."""
    return re.sub(r"^([\w+.-]+://)?.*@", r"\1", str(url).partition("?")[0])


def application(settings: Any, kind: str) -> tuple[str, str]:
    """Return `shop.wsgi:application` and "", or "" and why there is none ("" without such a file).

    What the settings name, or the module that startproject makes, beside the settings or above.
    """
    named = getattr(settings, kind.upper() + "_APPLICATION", None)
    above = os.environ["DJANGO_SETTINGS_MODULE"].split(".")[:-1]
    packages = [".".join((*above[:length], kind)) for length in range(len(above), -1, -1)]
    for dotted in filter(None, (named, *(f"{package}.application" for package in packages))):
        module, _, name = str(dotted).rpartition(".")
        try:
            if not module or importlib.util.find_spec(module) is None:
                continue
        except (ImportError, ValueError):
            continue
        try:
            if callable(getattr(importlib.import_module(module), name)):
                return f"{module}:{name}", ""
            return "", f"{module}.{name} is nothing that can be called"
        except BaseException as error:
            return "", said(error)
    return "", f"there is no {named}, which the settings name" if named else ""


def said(error: BaseException) -> str:
    """Return the error in one line, with the project's own line that it came from last."""
    own = [
        f"{shown(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if is_own(frame.filename)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        own, text = [f"{shown(error.filename)}:{error.lineno or 0}"], error.msg
    else:
        text = " ".join(re.sub(r"\s+", " ", str(error)).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{line} ({own[-1]})" if own else line


def is_own(filename: str) -> bool:
    return filename.startswith(os.getcwd() + os.sep) and "site-packages" not in filename


def shown(filename: str) -> str:
    return os.path.relpath(filename) if is_own(filename) else filename


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(answer, "w") as out:
        json.dump(facts(sys.argv[1]), out, default=str)
        out.flush()
        os._exit(0)  # threads of theirs would keep it
