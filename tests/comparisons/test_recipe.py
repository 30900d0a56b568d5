"""The recipe in a Django project of its own, served in both ways; and who links to it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from comparisons import recipe
from project.ports import free_port
from tests.support.clients import PATIENCE, until

NAME = "recipe-test"  # of the connections to Postgres

VIEWS = """
import os

from django.http import JsonResponse
from django.urls import path

from .recipe import async_client, async_pool


async def view(request):
    client, pool = async_client(), await async_pool()
    answer = await client.get(os.environ["UPSTREAM_URL"] + "/wait/1")
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT pg_backend_pid()")).fetchone()
    return JsonResponse({
        "waited": answer.json()["waited_ms"],
        "client": id(client),
        "pool": [type(pool).__name__, id(pool)],
        "backend": row[0],
    })


urlpatterns = [path("", view)]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A new project with the recipe in it: what a reader would have."""
    folder = tmp_path_factory.mktemp("site")
    django_admin = [sys.executable, "-m", "django"]
    subprocess.run([*django_admin, "startproject", "site_of_ours", folder], check=True)
    project = folder / "site_of_ours"
    shutil.copy(recipe.__file__, project)
    (project / "urls.py").write_text(VIEWS)
    parts = conninfo_to_dict(os.environ["DATABASE_URL"])
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"application_name": NAME},
        **{
            key: parts[name]
            for key, name in {
                "NAME": "dbname",
                "USER": "user",
                "PASSWORD": "password",
                "HOST": "host",
                "PORT": "port",
            }.items()
            if name in parts
        },
    }
    with (project / "settings.py").open("a") as file:
        file.write(f"\nDATABASES = {{'default': {database!r}}}\n")
    asgi = (project / "asgi.py").read_text()
    wrapped = asgi.replace("= get_asgi_application()", "= with_lifespan(get_asgi_application())")
    assert wrapped != asgi
    (project / "asgi.py").write_text(f"from .recipe import with_lifespan\n{wrapped}")
    return folder


@contextmanager
def served(site, *command):
    """The server's address; stopped at the end as by Ctrl-C, of which it must say nothing bad."""
    port = free_port()
    environ = os.environ | {"UPSTREAM_URL": settings.UPSTREAM_URL}
    environ = {name: text for name, text in environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-X", "dev", *(part.format(port=port) for part in command)]
    log = site / f"{port}.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=site, env=environ, stdout=output, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            until(lambda: f"127.0.0.1:{port}" in log.read_text() or server.poll() is not None)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE)
    said = log.read_text()
    assert "Traceback" not in said, said
    # runserver's own socket, at which it listens, is not the recipe's.
    complaints = [line for line in said.splitlines() if "unclosed" in line or "still open" in line]
    assert [line for line in complaints if f"{port})>" not in line] == []


UVICORN = ("-m", "uvicorn", "--port", "{port}", "site_of_ours.asgi:application")
RUNSERVER = ("manage.py", "runserver", "--noreload", "{port}")


def three_answers(url):
    answers = []
    for _ in range(3):
        with urlopen(url, timeout=PATIENCE) as response:
            answers.append(json.load(response))
    return answers


def open_connections(postgres):
    row = postgres.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME]
    ).fetchone()
    return row[0]


def test_uvicorn_reuses_one_client_and_one_pool(site, postgres):
    with served(site, *UVICORN) as url:
        answers = three_answers(url)
        assert open_connections(postgres) >= 1  # kept for the next request
    assert [answer["waited"] for answer in answers] == [1, 1, 1]
    assert len({answer["client"] for answer in answers}) == 1
    assert len({tuple(answer["pool"]) for answer in answers}) == 1
    assert answers[0]["pool"][0] == "AsyncConnectionPool"
    until(lambda: open_connections(postgres) == 0)


def test_runserver_opens_and_closes_for_every_request(site, postgres):
    with served(site, *RUNSERVER) as url:
        answers = three_answers(url)
        until(lambda: open_connections(postgres) == 0)  # while it runs
    assert [answer["waited"] for answer in answers] == [1, 1, 1]
    assert {answer["pool"][0] for answer in answers} == {"NoPool"}
    assert len({answer["backend"] for answer in answers}) == 3
