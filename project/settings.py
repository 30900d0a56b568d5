"""Settings: what the environment says, then what follows from it.

Safe with nothing set: no DEBUG, loopback hosts only, a secret key made once per checkout.
"""

import os
import re
import secrets
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from environs import ValidationError, env, validate

from comparisons.own_pairs import absolute
from project import deployments
from project.processes import BASE_DIR

# The ways to serve; what `comparisons` knows of this package.
DEPLOYMENTS = deployments.DEPLOYMENTS
DATABASE_MODES = deployments.DATABASE_MODES


# What `startproject` writes into a new project's settings.
STARTPROJECTS_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
SESSION_ENGINES = [  # the first is Django's own default
    f"django.contrib.sessions.backends.{name}" for name in ("db", "cache", "signed_cookies")
]


def _key_of_checkout() -> str:
    """Return a secret key made at first use, in an ignored file that only its owner may read.

    Where the file cannot be made or read (a read-only checkout, another user, a full disk), a key
    that lasts as long as this process: nothing that is measured or listed needs more.
    """
    path = BASE_DIR / ".secret-key"
    fresh = secrets.token_urlsafe(50)
    try:
        if not path.exists():
            _make_atomically(path, fresh)
        return path.read_text() or fresh
    except OSError:
        return fresh


def _make_atomically(path: Path, text: str) -> None:
    """Make a file for its owner alone; of two that do so at once, one wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600)
        draft.write_text(text)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _dotted_paths(paths: list[str]) -> None:
    """Refuse a path whose last word does not stand in its module; nothing is imported for that."""
    for path in paths:
        module, _, name = path.rpartition(".")
        if not (name and re.search(rf"\b{re.escape(name)}\b", _source_of(module))):
            raise ValidationError(f"there is no {path!r}, as package.module.name")


def _source_of(dotted: str) -> str:
    """Return a module's source, without importing the packages that it is in; "" if none is found.

    They need the settings, which are not there yet.
    """
    found, places = None, None
    words = dotted.split(".")
    for end in range(1, len(words) + 1):
        found = PathFinder.find_spec(".".join(words[:end]), places)
        if found is None:
            return ""
        places = found.submodule_search_locations or []
    return Path(found.origin).read_text(errors="replace") if found and found.origin else ""


SECRET_KEY = env.str("SECRET_KEY", "") or _key_of_checkout()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Who serves: the deployment's name and the nonce of this start, both told in every response.
DEPLOYMENT = env.str("DEPLOYMENT", "")
DEPLOYMENT_NONCE = env.str("DEPLOYMENT_NONCE", "")
# The only variant that it serves, where it is measured ("blocking-call/sync"); "" is all of them.
SERVED = env.str("SERVED", "") if DEPLOYMENT_NONCE else ""
DEBUG = env.bool("DEBUG", False) and not DEPLOYMENT  # a deployment is measured
DATABASE_MODE = env.str("DATABASE_MODE", "none", validate=validate.OneOf(DATABASE_MODES))
POOL_SIZE = env.int("POOL_SIZE", 20, validate=validate.Range(min=1, max=100))
# Seconds that a request waits for a connection of the pool.
POOL_TIMEOUT = env.float("POOL_TIMEOUT", 10, validate=validate.Range(min=0.1, max=60))
# Whether a kept connection is tried before it is used, Django's and the pools' own alike.
CONN_HEALTH_CHECKS = env.bool("CONN_HEALTH_CHECKS", False)
# Whether each request is a transaction (see atomic-requests).
ATOMIC_REQUESTS = env.bool("ATOMIC_REQUESTS", False)
# What a variant asks for besides: middleware (dotted paths, comma-separated) within that of the
# deployment, and where sessions are kept.
EXTRA_MIDDLEWARE: list[str] = env.list("EXTRA_MIDDLEWARE", [], validate=_dotted_paths)
SESSION_ENGINE = env.str(
    "SESSION_ENGINE", SESSION_ENGINES[0], validate=validate.OneOf(SESSION_ENGINES)
)
# To log in as another role than DATABASE_URL's: one with a connection limit (migration 0003).
DATABASE_ROLE = env.str("DATABASE_ROLE", "")
# The addresses of the services; `project.services` sets them where the user does not.
DATABASE: dict[str, Any] = env.dj_db_url("DATABASE_URL", "postgres://not-started/comparisons")
REDIS_URL = env.str("REDIS_URL", "redis://not-started")
UPSTREAM_URL = env.str("UPSTREAM_URL", "http://not-started")
if DEPLOYMENT_NONCE:  # by which it tells how many calls of this server are under way
    UPSTREAM_URL += f"/of/{DEPLOYMENT_NONCE}"
CPU_SERVICE_URL = env.str("CPU_SERVICE_URL", "http://not-started")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "comparisons",
    "loadtests",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
CSRF_FAILURE_VIEW = "comparisons.pages.trying.without_token"
# Where a deployment is measured, one middleware in both colours, and no more than its variant asks
# for: under ASGI, Django's own (MiddlewareMixin) run each of their sync hooks in a thread, which
# costs every async view (see middleware).
MIDDLEWARE = ["project.middleware.deployment_header", *EXTRA_MIDDLEWARE]
if not DEPLOYMENT:
    MIDDLEWARE += STARTPROJECTS_MIDDLEWARE
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": not SERVED,  # our 404.html links to pages, which a measured server has not
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
# Files (or folders of them) with pairs of the reader's own.
PAIRS = [Path(path) for path in absolute(env.str("PAIRS", "")).split(os.pathsep) if path]
RESULTS_DIR = BASE_DIR / "loadtests" / "results"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "comparisons" / "static"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("tr", "Turkish")]  # of the pages: comparisons/pages/language.py
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
SESSION_COOKIE_AGE = 3600  # seconds; every round of sessions-and-users begins some
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {"default": DATABASE}
DATABASE.setdefault("OPTIONS", {})["application_name"] = (
    f"{DEPLOYMENT} {DEPLOYMENT_NONCE}".strip() or "comparisons"
)
DATABASE["ATOMIC_REQUESTS"] = ATOMIC_REQUESTS
if DATABASE_ROLE:
    DATABASE["USER"] = DATABASE_ROLE
DATABASE["CONN_HEALTH_CHECKS"] = CONN_HEALTH_CHECKS
if DATABASE_MODE == "persistent":
    DATABASE["CONN_MAX_AGE"] = None
if DATABASE_MODE == "pool":
    DATABASE["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": POOL_SIZE,
        "timeout": POOL_TIMEOUT,
    }
if DATABASE_MODE == "pgbouncer":  # which pools transactions: a cursor ends with its own
    DATABASE["DISABLE_SERVER_SIDE_CURSORS"] = True
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
}

# With a host and a key of its own it is deployed: behind TLS, as `check --deploy` asks.
if env.list("ALLOWED_HOSTS", []) and env.str("SECRET_KEY", ""):
    SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True

# To stderr without DEBUG too; errors only where it is measured: no line for each request.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "ERROR" if DEPLOYMENT else "WARNING"},
    "loggers": {"django.server": {"level": "ERROR" if DEPLOYMENT else "INFO"}},
}
