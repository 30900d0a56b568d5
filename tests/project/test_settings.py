"""Settings: safe with nothing set, quiet under `check --deploy`, one line for nonsense."""

import os
import stat
import subprocess
import sys

import pytest
from django.conf import settings
from django.test import Client

from project import settings as project_settings
from project.processes import BASE_DIR
from tests.support.commands import python


def test_nothing_set_is_no_debug_and_loopback_hosts_only():
    code = (
        "from project import settings as s;"
        "print(s.DEBUG, s.ALLOWED_HOSTS, len(s.SECRET_KEY) >= 50, s.DATABASE_MODE)"
    )
    unset = {"DEBUG": "", "ALLOWED_HOSTS": "", "SECRET_KEY": "", "DATABASE_MODE": ""}
    environ = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=environ, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False ['localhost', '127.0.0.1', '[::1]'] True none", done.stderr


def test_the_checkouts_own_key_is_for_its_owner_only():
    assert settings.SECRET_KEY
    assert stat.S_IMODE((BASE_DIR / ".secret-key").stat().st_mode) == 0o600


UNUSABLE = {
    "of another user": lambda path: path.mkdir(),  # what root can't read either
    "in a folder that takes no files": lambda path: path.parent.rmdir(),
    "emptied by a full disk": lambda path: path.touch(),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_key_of_the_process_stands_in_for_a_file_that_is_unusable(case, tmp_path, monkeypatch):
    monkeypatch.setattr(project_settings, "BASE_DIR", tmp_path / "checkout")
    (tmp_path / "checkout").mkdir()
    UNUSABLE[case](tmp_path / "checkout" / ".secret-key")
    keys = {project_settings._key_of_checkout() for _ in range(2)}
    assert len(keys) == 2
    assert all(len(key) >= 50 for key in keys)


def test_key_of_the_checkout_lasts(tmp_path, monkeypatch):
    monkeypatch.setattr(project_settings, "BASE_DIR", tmp_path)
    assert project_settings._key_of_checkout() == project_settings._key_of_checkout()
    assert [path.name for path in tmp_path.iterdir()] == [".secret-key"]


def test_check_deploy_has_nothing_to_say_once_a_host_and_a_key_are_named():
    key = "a-key-of-fifty-characters-and-more-0123456789-abcdefghij"
    done = python("manage.py", "check", "--deploy", ALLOWED_HOSTS="example.org", SECRET_KEY=key)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_MODE", "sometimes"),
        ("DEBUG", "perhaps"),
        ("POOL_SIZE", "0"),
        ("ATOMIC_REQUESTS", "perhaps"),
        ("SESSION_ENGINE", "django.contrib.sessions.backends.dB"),
        ("EXTRA_MIDDLEWARE", "nowhere.at.All"),
        ("EXTRA_MIDDLEWARE", "django.middleware.common.NotThere"),
        ("EXTRA_MIDDLEWARE", "comparisons.pairs.middleware.sync_only, not a path"),
        ("EXTRA_MIDDLEWARE", "CommonMiddleware"),
        ("EXTRA_MIDDLEWARE", ","),
    ],
)
def test_nonsense_in_the_environment_is_refused_in_one_line(name, value):
    done = python("manage.py", "check", **{name: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert name in line


def middleware_of(**environ):
    done = python("-c", "from project.settings import *; print(*MIDDLEWARE)", **environ)
    return done.stdout.split()


def test_measured_server_has_no_middleware_but_what_is_asked_for():
    header = "project.middleware.deployment_header"
    assert middleware_of(DEPLOYMENT="asgi-uvicorn") == [header]
    extra = ["comparisons.pairs.middleware.sync_only", *settings.STARTPROJECTS_MIDDLEWARE]
    asked_for = {"DEPLOYMENT": "asgi-uvicorn", "EXTRA_MIDDLEWARE": ",".join(extra)}
    assert middleware_of(**asked_for) == [header, *extra]


def test_pages_are_served_with_the_middleware_of_a_new_project():
    assert middleware_of(DEPLOYMENT="")[1:] == settings.STARTPROJECTS_MIDDLEWARE


def test_static_files_are_served_without_debug():
    assert settings.DEBUG is False
    response = Client().get("/static/comparisons/pages.css")
    assert response.status_code == 200
    assert response.content == (settings.STATIC_ROOT / "comparisons/pages.css").read_bytes()
    assert not response.streaming  # or else Django warns under ASGI
    known = Client(headers={"if-modified-since": response["Last-Modified"]})
    assert known.get("/static/comparisons/pages.css").status_code == 304


def test_a_strange_host_is_refused():
    assert Client(headers={"host": "example.org"}).get("/").status_code == 400


def test_migrations_are_up_to_date_with_the_models():
    done = python("manage.py", "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout


def test_measured_server_imports_nothing_that_only_pages_need():
    code = (
        "import django, sys; django.setup(); import project.urls;"
        "print({'pygments', 'numpy', 'rich', 'psutil', 'locust'} & {*sys.modules})"
    )
    assert python("-c", code, DEPLOYMENT="asgi-uvicorn").stdout == "set()\n"


ITS_OWN = """
import django, sys
django.setup()
from django.urls import get_resolver
print(*sorted(pattern.name for pattern in get_resolver().url_patterns))
print(*sorted(name for name in sys.modules if name.startswith("comparisons.pairs.")))
print({"comparisons.pages.views", "starlette", "wasmtime", "redis"} & {*sys.modules})
"""


def test_measured_server_has_its_own_pair_and_no_page():
    served = {"SERVED": "blocking-call/async_native", "DEPLOYMENT_NONCE": "1"}
    said = python("-c", ITS_OWN, DEPLOYMENT="asgi-uvicorn", **served).stdout.splitlines()
    urls = "blocking-call/async_native bystander held pools"
    assert said == [urls, "comparisons.pairs.blocking_call", "set()"]


@pytest.mark.parametrize(
    "environ",
    [
        {"DEPLOYMENT": "asgi-uvicorn", "DEPLOYMENT_NONCE": "1"},  # by `serve`
        pytest.param(  # a command of ours
            {"DEPLOYMENT_NONCE": "", "SERVED": "blocking-call/sync"}, marks=pytest.mark.long
        ),
    ],
)
def test_whoever_is_not_measured_has_every_pair(environ):
    code = "import django; django.setup(); import comparisons.pairs as p; print(len(p.COMPARISONS))"
    every = len([*(BASE_DIR / "comparisons" / "pairs").glob("[!_]*.py")])
    assert python("-c", code, **environ).stdout == f"{every}\n"
