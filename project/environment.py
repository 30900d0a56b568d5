"""What of a command's environment reaches the processes that it starts: services, servers, load.

They are measured, or measured with, so what is set for another program must not change them. The
whole environment of a measured server is made by `Deployment.environ` (deployments.py).
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase

# Names, with * for any characters, and why they stay behind. Whatever is not here is passed on.
# First our own settings and knobs (project/settings.py, project/asgi.py, the pairs).
OURS = {
    "DEBUG": "Django with DEBUG is another, slower program",
    "SECRET_KEY": "it is the reader's; each server start gets one of its own",
    "ALLOWED_HOSTS": "without a server's own address in it every answer is 400",
    "DATABASE_MODE": "a deployment says how it connects",
    "DATABASE_ROLE": "a variant says as whom it logs in",
    "POOL_SIZE": "a variant says how large a pool is",
    "POOL_TIMEOUT": "and how long one waits for it",
    "CONN_HEALTH_CHECKS": "a variant says whether connections are tried before they are used",
    "ATOMIC_REQUESTS": "a variant says whether its request is a transaction",
    "EXTRA_MIDDLEWARE": "a variant says what stands before its view",
    "SESSION_ENGINE": "a variant says where its sessions are",
    "SHARED_THREAD": "a variant says whether it has one",
    "SERVED": "a server that is measured serves one variant",
    "CURSOR_*": "a variant says how many rows are read at a time",
    "DEPLOYMENT*": "the start of a server has a name of its own",
}
# Loopback is reached directly; gunicorn and uvicorn trust such headers from everywhere.
PROXIES = {
    "*_proxy": "it would carry our requests away from this machine",
    "*_PROXY": "likewise",
    "FORWARDED_ALLOW_IPS": "read by gunicorn and uvicorn",
}
# What servers, load generator and Python itself read beside their arguments.
SWITCHES = {
    "GUNICORN_*": "options of gunicorn",
    "UVICORN_*": "options of uvicorn",
    "GRANIAN_*": "options of granian",
    "WEB_CONCURRENCY": "worker processes of gunicorn and uvicorn",
    "PORT": "a port for gunicorn",
    "SENDFILE": "an option of gunicorn",
    "NOTIFY_SOCKET": "gunicorn would report to systemd as if it were the command",
    "LOCUST_*": "options of locust; without its monkey patching the load generator stands still",
    "GEVENT_*": "another event loop, another resolver, debugging",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "a sync query on the event loop would pass",
    "RUN_MAIN": "runserver would think that its autoreloader had started it",
    # Python's switches for debugging, which cost time or memory, and those that change our code.
    "PYTHONASYNCIODEBUG": "every task and callback is timed",
    "PYTHONDEVMODE": "asyncio's and malloc's debugging, warnings",
    "PYTHONTRACEMALLOC": "every allocation is recorded",
    "PYTHONMALLOC": "another allocator, or one that checks",
    "PYTHONMALLOCSTATS": "prints with every arena",
    "PYTHONPROFILEIMPORTTIME": "prints with every import",
    "PYTHONVERBOSE": "likewise",
    "PYTHONDEBUG": "debugging of the parser",
    "PYTHONDUMPREFS": "prints with every end",
    "PYTHONPERFSUPPORT": "a trampoline for every function",
    "PYTHONINSPECT": "a process would stay to be asked",
    "PYTHONBREAKPOINT": "only for a terminal",
    "PYTHONSTARTUP": "only for a terminal",
    "PYTHONWARNINGS": "a warning as an error ends a server",
    "PYTHONOPTIMIZE": "docstrings and assertions are part of what is shown",
    "PYTHONDONTWRITEBYTECODE": "every start would compile this project anew",
    "PYTHONSAFEPATH": "`python -m` would not find this project",
    "COVERAGE_*": "a tracer for every line",
    "COV_CORE_*": "likewise",
    "MALLOC_*": "the C library's allocator, in another way or one that checks",
}
KEPT_BACK = {**OURS, **PROXIES, **SWITCHES}


def child_environ() -> dict[str, str]:
    """Return the environment for a child: this process's own, as it is now, without KEPT_BACK."""
    return without(KEPT_BACK, os.environ)


def without(patterns: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
