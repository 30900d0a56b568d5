"""A reader's project is asked what it is, and what is wrong with it is one line."""

import json
import os
import re
import sys

import pytest
from django.core.management.base import CommandError

from loadtests.advising import subject
from loadtests.advising.subject import Database, find_subject
from tests.support.readers import PYTHON, SHOP, found, listing, made_up, with_settings, write

KEY = 'import os\nSECRET_KEY = os.environ["SHOP_KEY"]\n'
UNNAMED = {"shop/settings.py": 'SECRET_KEY = "x"'}
WRONG = {
    "no manage.py": ({"manage.py": None}, r"has no manage\.py that could be read: give --settings"),
    "manage.py without settings": (
        {"manage.py": "import shop"},
        r"manage\.py does not say its settings: give --settings",
    ),
    "settings that are not there": (
        {"shop/settings.py": None},
        r"shop\.settings cannot be loaded: ModuleNotFoundError: No module named 'shop\.settings'$",
    ),
    "a variable is missing": (
        {"shop/settings.py": KEY},
        r"KeyError: 'SHOP_KEY' \(shop/settings\.py:2\) \(a variable .* give --env NAME=VALUE\)",
    ),
    "a syntax error": (
        {"shop/settings.py": "DEBUG = True\nenviron = (\n"},
        r"SyntaxError: '\(' was never closed \(shop/settings\.py:2\)$",
    ),
    "a package is missing": (
        {"shop/settings.py": "import environ_of_theirs\n"},
        r"No module named 'environ_of_theirs' \(shop/settings\.py:1\) \(is .* and --python\)$",
    ),
    "it ends": (
        {"shop/settings.py": "import sys\nsys.exit('not\\n here')\n"},
        r"SystemExit: not here \(shop/settings\.py:2\)$",
    ),
    "it ends without a word": (
        {"shop/settings.py": "import os\nos._exit(3)\n"},
        r"does not tell of shop\.settings: it said nothing",
    ),
    "a middleware that is not there": (
        with_settings("MIDDLEWARE = ['shop.middleware.Missing']"),
        r"No module named 'shop\.middleware'",
    ),
    "no application": (
        UNNAMED | {"shop/wsgi.py": None, "shop/asgi.py": None},
        r"has neither WSGI_APPLICATION nor ASGI_APPLICATION, and there is no wsgi\.py or asgi\.py",
    ),
    "an application that is named only": (
        {"shop/wsgi.py": None, "shop/asgi.py": None},
        r"there is no shop\.wsgi\.application, which the settings name",
    ),
    "an application that fails": (
        {"shop/wsgi.py": "raise RuntimeError('no licence')", "shop/asgi.py": None},
        r"application cannot be imported: RuntimeError: no licence \(shop/wsgi\.py:1\)",
    ),
}


@pytest.mark.parametrize(("files", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_nothing_changes(tmp_path, files, problem):
    before = listing(write(tmp_path, files))
    with pytest.raises(CommandError) as error:
        find_subject(tmp_path, None, PYTHON, {})
    assert re.search(problem, str(error.value))
    assert "\n" not in str(error.value)
    assert listing(tmp_path) == before


def test_settings_without_an_end_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "FACTS_TIMEOUT_S", 1)
    endless = "import os, time, pathlib\nos.fork()\ntime.sleep(600)\n"
    with pytest.raises(CommandError, match=r"shop\.settings has not been loaded after 1 s"):
        found(tmp_path, {"shop/settings.py": endless})


def program(folder, script):
    """A program that stands for a Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f'exec "{PYTHON}" -S "$@"', "has no Django: give the project's own with --python"),
        ("echo '{}'", r"is Python 3\.8\.1: 3\.10 is the oldest"),
        ("echo '{}'", r"has Django 3\.2\.5: 4\.2 is the oldest"),
        ("echo cannot start >&2; exit 1", "does not tell of shop.settings: cannot start"),
        ("echo SyntaxError: a >&2; exit 1", "its Python is too old, 3.10 is the oldest"),
    ],
    ids=["no Django", "old Python", "old Django", "broken", "very old Python"],
)
def test_a_python_that_cannot_be_asked_is_refused(tmp_path, script, problem):
    is_old = "3.8.1" if "Python" in problem else "3.12"
    told = {"python": is_old, "versions": {"django": "3.2.5"}}
    python = program(tmp_path, script.replace("{}", json.dumps(told)))
    with pytest.raises(CommandError, match=problem):
        find_subject(write(tmp_path / "project", {}), None, python, {})


def test_folder_and_program_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(CommandError, match="--project: there is no folder"):
        find_subject(tmp_path / "missing", None, PYTHON, {})
    write(tmp_path, {})
    with pytest.raises(CommandError, match="--python: there is no program"):
        find_subject(tmp_path, None, tmp_path / "python", {})
    with pytest.raises(CommandError, match="--python: there is no program"):
        find_subject(tmp_path, None, tmp_path, {})


def test_python_is_that_of_the_projects_virtual_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)  # ours, which says nothing of theirs
    with pytest.raises(CommandError, match="give the Python that runs the project with --python"):
        subject._python_of(tmp_path / "shop", None)
    for place in (tmp_path / "active", tmp_path / "venv", tmp_path / "shop" / ".venv"):
        if place.name == "active":
            monkeypatch.setenv("VIRTUAL_ENV", str(place))
        (place / "bin").mkdir(parents=True)
        program(place / "bin", "")
        assert subject._python_of(tmp_path / "shop", None) == place / "bin" / "python"


def test_a_variable_that_is_given_reaches_the_project(tmp_path):
    of = found(tmp_path, {"shop/settings.py": KEY}, {"SHOP_KEY": "secret word"})
    assert of.environ["SHOP_KEY"] == "secret word"
    assert "secret word" not in repr(of)


def test_what_debugs_us_or_is_ours_does_not_reach_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("DEBUG", "theirs")
    of = found(tmp_path, with_settings("import os\nDEBUG = os.environ['DEBUG'] != 'theirs'"))
    assert not of.debug
    assert not of.environ.keys() & {"PYTHONASYNCIODEBUG", "DJANGO_SETTINGS_MODULE"}
    assert os.path.join(sys.prefix, "bin") not in of.environ["PATH"].split(os.pathsep)


SERVICES = """
print("what it prints is not the answer")
from django.urls import reverse_lazy
LOGIN_URL = "enter"
ADMINS = [("A", "a@example.com")]
SECURE_SSL_REDIRECT = True
DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "db1",
                "USER": "me", "PASSWORD": "hidden", "CONN_MAX_AGE": None,
                "OPTIONS": {"pool": {"min_size": 2, "max_size": 8}}},
    "old": {"ENGINE": "django.db.backends.sqlite3", "NAME": "old.sqlite3"},
    "none": {},
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": ["redis://me:hidden#@c1:6379/0?password=hidden", "redis://c2"]},
    "small": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer",
                              "CONFIG": {"hosts": [("c3", 6379), "redis://:hidden@c4"]}}}
CELERY_BROKER_URL = "amqp://me:hidden@queue//"
EMAIL_HOST = "mail.example.com"
"""
URLS = SHOP["shop/urls.py"] + "urlpatterns += [path('in/', served, name='enter')]\n"


@pytest.mark.filterwarnings("default")
def test_what_it_uses_is_said_without_passwords(tmp_path):
    of = found(tmp_path, with_settings(SERVICES) | {"shop/urls.py": URLS})
    assert of.uses == (
        "database default: postgresql db1:5432, shop",
        "database old: SQLite, old.sqlite3",
        "cache default: RedisCache redis://c1:6379/0, redis://c2",
        "channel layer default: RedisChannelLayer c3:6379, redis://c4",
        "email: SMTP mail.example.com:25",
        "broker: amqp://queue//",
    )
    assert of.database == Database("default", "postgresql", "db1", 5432, "shop", None, True, 8)
    assert of.login_url == "/in/"
    assert [one.takes_async for one in of.middleware] == [True]
    assert of.middleware[0].place.split("/")[-1].startswith("csrf.py:")
    assert of.served_so == (
        "DEBUG = False, as where you deploy it",
        "127.0.0.1 in ALLOWED_HOSTS",
        "requests count as HTTPS (SECURE_SSL_REDIRECT)",
        "no ADMINS and MANAGERS, who would get mail of errors",
    )


MAILERS = """
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend",
                       "OPTIONS": {"host": "mail.example.com", "port": 587}}}
"""


def test_mailers_of_django_6_1_are_told(tmp_path):
    assert "email: SMTP mail.example.com:587" in found(tmp_path, with_settings(MAILERS)).uses


@pytest.mark.parametrize(
    ("files", "wsgi", "asgi", "why"),
    [
        ({}, "shop.wsgi:application", "shop.asgi:application", None),
        (
            {"shop/asgi.py": None},
            *("shop.wsgi:application", "", "no ASGI server: the project has no such application"),
        ),
        (
            {"shop/asgi.py": "import daphne_of_theirs"},
            *("shop.wsgi:application", ""),
            "no ASGI server: ModuleNotFoundError: No module named 'daphne_of_theirs'"
            " (shop/asgi.py:1)",
        ),
        (
            with_settings("del WSGI_APPLICATION") | {"shop/wsgi.py": None},
            *("", "shop.asgi:application", "no WSGI server: the project has no such application"),
        ),
        (
            UNNAMED | {"shop/wsgi.py": None, "wsgi.py": "application = print"},
            *("wsgi:application", "shop.asgi:application", None),
        ),
    ],
    ids=["both", "wsgi only", "asgi fails", "asgi only", "above the settings"],
)
def test_applications_are_found_and_what_is_missing_is_said(tmp_path, files, wsgi, asgi, why):
    of = found(tmp_path, files)
    assert (of.wsgi, of.asgi) == (wsgi, asgi)
    assert next((line for line in of.served_so if " server: " in line), None) == why


def test_a_folder_is_as_before_when_it_was_asked(tmp_path):
    before = listing(write(tmp_path, {}))
    find_subject(tmp_path, None, PYTHON, {})
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")', "shop.settings"),
        ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b.c')", "a.b.c"),
        ('os.environ["DJANGO_SETTINGS_MODULE"] = "shop.local"', "shop.local"),
        ('os.environ.setdefault(\n    "DJANGO_SETTINGS_MODULE",\n    "x.y",\n)', "x.y"),
    ],
)
def test_settings_are_what_manage_py_says(tmp_path, text, settings):
    (tmp_path / "manage.py").write_text(text)
    assert subject._settings_of(tmp_path) == settings


def test_a_made_up_project_says_nothing_that_differs():
    assert made_up().served_so == ()
    assert made_up(asgi="").interfaces == ("wsgi",)
