"""A reader's project: a small one in a folder of its own, and one that is only said to be there.

And copies of tests/support/projects/: polls is the one of Django's tutorial, events has async views
under ASGI only, planted has a fault in each view, and views without.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil

from loadtests.advising.subject import Subject, find_subject
from project.processes import BASE_DIR
from tests.conftest import is_missing

PROJECTS = BASE_DIR / "tests" / "support" / "projects"

PYTHON = Path(sys.executable)
SHOP = {
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")',
    "shop/__init__.py": "",
    "shop/settings.py": """
SECRET_KEY = "of a test"
DEBUG = True
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
""",
    "shop/urls.py": """
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

def served(request):
    default = settings.DATABASES.get("default", {})
    return JsonResponse({
        "debug": settings.DEBUG,
        "admins": len(settings.ADMINS),
        "is_secure": request.is_secure(),
        "conn_max_age": default.get("CONN_MAX_AGE", 0),
        "pool": default.get("OPTIONS", {}).get("pool"),
    })

urlpatterns = [path("", served)]
""",
    "shop/wsgi.py": """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "shop/asgi.py": """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
""",
}
VERSIONS = {
    **{"django": "5.2", "gunicorn": "27.0.1", "uvicorn": "0.54.0", "granian": "2.8.7"},
    **{"gevent": "26.9.0", "daphne": "4.1", "hypercorn": "0.17", "uvloop": "0.23"},
    "httptools": "0.9",
}


def write(folder, files):
    """Write a project there: SHOP, but for these files; None is one that it has not."""
    for name, text in {**SHOP, **files}.items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def with_settings(text):
    return {"shop/settings.py": SHOP["shop/settings.py"] + text}


def found(folder, files=None, given=None):
    return find_subject(write(folder, files or {}), None, PYTHON, given or {})


def listing(folder):
    """All that is there, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def made_up(versions=VERSIONS, **changes):
    """A project that nobody asks, with every server."""
    told = {
        "folder": Path("/nowhere"),
        "python": Path("/nowhere/.venv/bin/python"),
        "settings": "shop.settings",
        "python_version": "3.13.0",
        "versions": versions,
        "wsgi": "shop.wsgi:application",
        "asgi": "shop.asgi:application",
        "why_not": {"wsgi": "", "asgi": ""},
        "debug": False,
        "ssl_redirect": False,
        "login_url": "/accounts/login/",
        "mails_errors": False,
        "allowed_hosts": ("*",),
        "middleware": (),
        "databases": (),
        "services": (),
        "environ": {},
    }
    return Subject(**{**told, **changes})


# --- Samples


def copy_of(name, folder):
    shutil.copytree(PROJECTS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def polls(folder):
    """With its database, and two questions in it."""
    copy_of("polls", folder)
    environ = {name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    for words in (["migrate", "-v0"], ["loaddata", "-v0", "questions"]):
        manage = [sys.executable, "-B", "manage.py", *words]
        subprocess.run(manage, cwd=folder, check=True, env=environ)
    return folder


def planted(folder):
    """With its C extension, for this Python. Skips the test where it cannot be built."""
    copy_of("planted", folder)
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        is_missing("Python.h", "Debian: apt-get install python3-dev")
    extension = "holder" + sysconfig.get_config_var("EXT_SUFFIX")
    command = ["cc", "-shared", "-fPIC", f"-I{include}", "holder.c", "-o", extension]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def contents(folder):
    """Every file below, with what is in it, but for the database's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("db.sqlite3")
    }


def left_in(folder):
    """Processes that run in the folder."""
    return [
        process
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(str(folder))
    ]
