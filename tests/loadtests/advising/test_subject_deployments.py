"""A reader's project is served by the servers that it has, and as its own command says."""

import json
import os
import re
from dataclasses import replace

import pytest
from django.core.management.base import CommandError

from comparisons.advice import NOW
from loadtests.advising.deployments import deployments_of, parse_now
from loadtests.running import servers
from project.middleware import HEADER
from tests.support.readers import (
    SHOP,
    VERSIONS,
    found,
    listing,
    made_up,
    with_settings,
)

# --- Which


def versions(**changed):
    """Of its packages; None is one that it has not."""
    return {name: one for name, one in {**VERSIONS, **changed}.items() if one}


WSGI = ["wsgi-sync", "wsgi-threads", "wsgi-gevent", "wsgi-granian"]
ASGI = ["asgi-uvicorn", "asgi-workers", "asgi-granian", "asgi-gunicorn"]


@pytest.mark.parametrize(
    ("project", "names"),
    [
        (made_up(), WSGI + ASGI),
        (made_up(asgi=""), WSGI),
        (made_up(wsgi=""), ASGI),
        (made_up(versions(gevent=None, granian="1.7")), [*WSGI[:2], *ASGI[:2], ASGI[3]]),
        (made_up(versions(gunicorn="23.0.0", granian=None)), [*WSGI[:3], *ASGI[:2]]),
        (made_up({"django": "5.2", "uvicorn": "0.30.1"}), ASGI[:2]),
    ],
    ids=["all", "no ASGI", "no WSGI", "old granian", "gunicorn without asgi", "uvicorn only"],
)
def test_deployments_are_those_whose_servers_and_application_it_has(project, names):
    assert list(deployments_of(project)) == names


def test_a_project_without_a_server_is_told_what_to_install():
    bare = versions(gunicorn=None, granian=None)
    with pytest.raises(CommandError, match=r"install gunicorn or granian \(/nowhere/.* -m pip"):
        deployments_of(made_up(bare, asgi=""))


@pytest.mark.parametrize(
    ("name", "old", "lacks", "has"),
    [
        ("wsgi-threads", {"gunicorn": "20.1.0"}, ["--no-control-socket"], ["--threads", "20"]),
        ("wsgi-threads", {"gunicorn": "25.1.0"}, [], ["--no-control-socket"]),
        ("asgi-gunicorn", {"gunicorn": "24.0"}, ["--http-parser", "python"], ["--asgi-loop"]),
        ("asgi-gunicorn", {"uvloop": None}, ["uvloop"], ["--asgi-loop", "asyncio"]),
        ("asgi-uvicorn", {"uvicorn": "0.20.0"}, ["--timeout-graceful-shutdown", "5"], ["60"]),
        ("asgi-uvicorn", {"uvloop": None}, ["uvloop"], ["--loop", "asyncio"]),
        ("asgi-uvicorn", {"httptools": None}, ["httptools"], ["--http", "h11"]),
        ("asgi-granian", {"uvloop": None}, ["uvloop"], ["--loop", "asyncio"]),
    ],
)
def test_a_server_is_told_what_its_version_knows(name, old, lacks, has):
    argv = deployments_of(made_up(versions(**old)))[name].argv(1234)
    assert not set(lacks) & set(argv)
    assert [word for word in argv if word in has] == has


# --- To copy

COMMANDS = {
    "wsgi-sync": "gunicorn shop.wsgi:application --workers 2",
    "wsgi-threads": (
        "gunicorn shop.wsgi:application --worker-class gthread --workers 2 --threads 8"
    ),
    "wsgi-gevent": "gunicorn shop.wsgi:application --worker-class gevent --workers 2",
    "wsgi-granian": (
        "granian --interface wsgi shop.wsgi:application --workers 2 --blocking-threads 8"
    ),
    "asgi-uvicorn": "uvicorn shop.asgi:application --workers 2",
    "asgi-workers": "uvicorn shop.asgi:application --workers 2",
    "asgi-granian": "granian --interface asgi shop.asgi:application --workers 2",
    "asgi-gunicorn": "gunicorn shop.asgi:application --worker-class asgi --workers 2",
}


def test_command_to_copy_has_the_shape_that_was_measured():
    shaped = {
        name: replace(one, workers=2, threads=8).command_to_copy
        for name, one in deployments_of(made_up()).items()
    }
    assert shaped == COMMANDS


def test_one_process_of_uvicorn_needs_no_number():
    deployment = replace(deployments_of(made_up())["asgi-workers"], workers=1)
    assert deployment.command_to_copy == "uvicorn shop.asgi:application"


def test_settings_to_copy_are_those_of_the_database():
    deployment = deployments_of(made_up())["wsgi-threads"]
    databases = {"default": {"CONN_MAX_AGE": 5}}
    assert deployment.settings_to_copy == ()
    exec(
        "\n".join(replace(deployment, database="persistent").settings_to_copy),
        {"DATABASES": databases},
    )
    assert databases == {"default": {"CONN_MAX_AGE": None}}
    exec(
        "\n".join(replace(deployment, database="pool", pool_size=6).settings_to_copy),
        {"DATABASES": databases},
    )
    pool = {"min_size": 1, "max_size": 6}
    assert databases == {"default": {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": pool}}}


# --- What runs today

APP = "shop.wsgi:application"
READ = {  # command: interface, processes, threads, and what is kept of its options
    "gunicorn shop.wsgi": ("wsgi", 1, 1, ""),
    f"gunicorn {APP} -w 4 --threads 8": ("wsgi", 4, 8, "-w 4 --threads 8"),
    "gunicorn -w4 -b0.0.0.0:80 shop.wsgi": ("wsgi", 4, 1, "-w4"),
    "gunicorn --workers=3 --bind=:80 --bind unix:/a shop.wsgi": ("wsgi", 3, 1, "--workers=3"),
    "gunicorn -w 2 -w 3 shop.wsgi": ("wsgi", 3, 1, "-w 2 -w 3"),
    "gunicorn shop.wsgi -D -p /run/a.pid --access-logfile - -u www": ("wsgi", 1, 1, ""),
    "gunicorn shop.wsgi -k gevent --threads 4": ("wsgi", 1, 0, "-k gevent --threads 4"),
    "gunicorn shop.wsgi --chdir /srv/gevent": ("wsgi", 1, 1, "--chdir /srv/gevent"),
    "gunicorn shop.asgi -k uvicorn.workers.UvicornWorker --threads 4": (
        *("asgi", 1, 1),
        "-k uvicorn.workers.UvicornWorker --threads 4",
    ),
    "/srv/.venv/bin/gunicorn shop.wsgi": ("wsgi", 1, 1, ""),
    "python3.12 -m gunicorn shop.wsgi --preload": ("wsgi", 1, 1, "--preload"),
    "A=1 WEB_CONCURRENCY=5 exec gunicorn shop.wsgi": ("wsgi", 5, 1, ""),
    "WEB_CONCURRENCY=5 gunicorn shop.wsgi -w 2": ("wsgi", 2, 1, "-w 2"),
    "poetry run gunicorn shop.wsgi": ("wsgi", 1, 1, ""),
    "env A=1 gunicorn shop.wsgi -n {shop}": ("wsgi", 1, 1, "-n {shop}"),
    "uvicorn shop.asgi:application --host :: --port 80 --workers 2 --reload": (
        *("asgi", 2, 1),
        "--workers 2",
    ),
    "uvicorn shop.asgi:application --loop asyncio --uds /a --root-path /b": (
        *("asgi", 1, 1),
        "--loop asyncio",
    ),
    f"granian --interface wsgi {APP} --blocking-threads 6": (
        *("wsgi", 1, 6),
        "--interface wsgi --blocking-threads 6",
    ),
    f"granian --interface wsgi {APP} --workers 2": ("wsgi", 2, 0, "--interface wsgi --workers 2"),
    "granian --interface asginl shop.asgi:application --port=80": (
        *("asgi", 1, 1),
        "--interface asginl",
    ),
    "daphne -b 0.0.0.0 -p 8000 -v2 shop.asgi:application": ("asgi", 1, 1, ""),
    "hypercorn -w 3 --bind :80 --certfile a shop.asgi:application": ("asgi", 3, 1, "-w 3"),
}


@pytest.mark.parametrize(("command", "read"), READ.items(), ids=READ)
def test_command_of_today_is_read(command, read):
    now = parse_now(command, made_up())
    program = re.search("gunicorn|uvicorn|granian|daphne|hypercorn", command)[0]
    python, m, name, *options, app = now.argv(1234)
    assert [python, m, name] == ["/nowhere/.venv/bin/python", "-m", program]
    assert app == f"advised.served:{now.interface}"
    kept = read[3].split()
    assert options[: len(kept)] == kept
    assert (now.interface, now.workers, now.threads) == read[:3]
    ours = " ".join(options[len(kept) :])
    assert re.fullmatch(r"(--bind 127.0.0.1:1234|(--host|-b) 127.0.0.1 (--port|-p) 1234) .*", ours)
    assert (now.name, now.command_to_copy) == (NOW, command)


def test_what_stands_before_the_command_is_in_its_environment():
    now = parse_now("A=1 B='2 3' gunicorn shop.wsgi", made_up(environ={"A": "0", "C": "4"}))
    environ = now.environ("nonce", {})
    assert {name: environ[name] for name in "ABC"} == {"A": "1", "B": "2 3", "C": "4"}
    assert "nonce" in environ["ADVISE_NAME"]


def test_an_old_gunicorn_of_today_is_not_told_what_it_does_not_know():
    now = parse_now("gunicorn shop.wsgi", made_up(versions(gunicorn="20.1.0")))
    assert "--no-control-socket" not in now.argv(1234)


REFUSED = {
    "gunicorn 'shop.wsgi": "is no command: No closing quotation",
    "A=1": "'' is none of gunicorn, uvicorn",
    "uwsgi --http :80": "'uwsgi' is none of gunicorn, .*; leave --now out",
    "cd shop && gunicorn shop.wsgi": "'cd' is none of",
    "python manage.py runserver": "runserver is for development",
    "gunicorn": r"names no application of the project: shop\.wsgi:application or shop\.asgi:",
    "gunicorn other.wsgi": "names no application of the project",
    "gunicorn shop.wsgi -w": "'' is no number of processes",
    "gunicorn shop.wsgi -w $(nproc)": r"'\$\(nproc\)' is no number of processes",
    "gunicorn shop.wsgi --threads 0": "'0' is no number of threads",
    "WEB_CONCURRENCY=two gunicorn shop.wsgi": "'two' is no number of processes",
    "granian shop.asgi:application": "granian says no --interface, but its application is ASGI",
    f"granian --interface asgi {APP}": "has --interface asgi, but its application is WSGI",
    "DJANGO_SETTINGS_MODULE=shop.live gunicorn shop.wsgi": (
        r"has shop\.live, but shop\.settings was asked: give --settings too"
    ),
}


@pytest.mark.parametrize(("command", "problem"), REFUSED.items(), ids=REFUSED)
def test_command_that_cannot_be_understood_is_refused_in_one_line(command, problem):
    with pytest.raises(CommandError, match=problem) as error:
        parse_now(command, made_up())
    assert "\n" not in str(error.value)


def test_server_that_the_project_has_not_is_refused():
    with pytest.raises(CommandError, match="python has no uvicorn"):
        parse_now("uvicorn shop.asgi:application", made_up(versions(uvicorn=None)))


CONFIG = "workers = 1 + 2\nworker_class = 'gthread'\nthreads = 5\nwsgi_app = 'shop.wsgi'\n"


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("gunicorn", "gunicorn.conf.py"),
        ("gunicorn -c live.py shop.wsgi", "live.py"),
        ("GUNICORN_CMD_ARGS='--workers=3 --threads=5' gunicorn shop.wsgi", "unread.py"),
    ],
)
def test_gunicorn_itself_says_what_its_configuration_means(tmp_path, command, file):
    project = found(tmp_path, {file: CONFIG})
    before = listing(tmp_path)
    now = parse_now(command, project)
    assert (now.interface, now.workers, now.threads) == ("wsgi", 3, 5)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("daemon = True", "has daemon = True, and what leaves cannot be measured"),
        ("workers = 'many'", "gunicorn does not take it: "),
        ("import missing_of_theirs", "gunicorn does not take it: .*missing_of_theirs"),
    ],
)
def test_configuration_that_cannot_be_measured_is_one_line(tmp_path, config, problem):
    project = found(tmp_path, {"gunicorn.conf.py": config})
    with pytest.raises(CommandError, match=problem) as error:
        parse_now("gunicorn shop.wsgi", project)
    assert "\n" not in str(error.value)


# --- Served


def answered(server, path="/"):
    with servers.direct.open(server.url + path, timeout=20) as response:
        assert response.headers[HEADER] == server.name
        return json.load(response)


LIVE = """
ADMINS = [("A", "a@example.com")]
SECURE_SSL_REDIRECT = True
MIDDLEWARE += ["django.middleware.security.SecurityMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "of_theirs.sqlite3"}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return found(tmp_path_factory.mktemp("shop"), with_settings(LIVE) | {"gunicorn.conf.py": "1/0"})


def test_project_is_served_as_where_it_is_deployed(project):
    before = listing(project.folder)
    of = deployments_of(project)
    deployments = [
        replace(of[name], database=database, pool_size=3)
        for name in ("wsgi-threads", "asgi-uvicorn")
        for database in ("", "persistent", "pool")
    ]
    pool = {"min_size": 1, "max_size": 3, "timeout": 30}
    with servers.serving(deployments) as started:
        for server, deployment in zip(started, deployments, strict=True):
            assert answered(server) == {
                "debug": False,
                "admins": 0,
                "is_secure": True,
                "conn_max_age": None if deployment.database == "persistent" else 0,
                "pool": pool if deployment.database == "pool" else None,
            }
    assert listing(project.folder) == before


def test_every_server_serves_it(project):
    deployments = [replace(one, workers=1) for one in deployments_of(project).values()]
    assert [one.name for one in deployments] == WSGI + ASGI
    with servers.serving(deployments) as started:
        for server in started:
            assert answered(server)["debug"] is False
            assert answered(server, "/__advise__/bystander/") == {"ok": True}


def test_it_is_served_as_today(tmp_path):
    project = found(tmp_path, {"live.py": "import os\nraw_env = ['SHOP=1']\nbind = '0.0.0.0:80'"})
    before = listing(tmp_path)
    now = parse_now("DEBUG=1 gunicorn -c live.py shop.wsgi -w 2 -b :80", project)
    with servers.serving([now]) as (server,):
        assert answered(server)["debug"] is False
    assert listing(tmp_path) == before


WITH_LIFESPAN = (
    SHOP["shop/asgi.py"]
    + """
import os
django = application

async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        return await django(scope, receive, send)
    for _ in range(2):
        event = (await receive())["type"]
        with open(os.environ["NOTES"], "a") as notes:
            print(event, file=notes)
        await send({"type": event + ".complete"})
"""
)


def test_lifespan_of_an_application_that_has_one_is_its_own(tmp_path):
    notes = tmp_path / "notes"
    project = found(tmp_path / "shop", {"shop/asgi.py": WITH_LIFESPAN}, {"NOTES": os.devnull})
    of = deployments_of(project)
    notes.mkdir()
    with servers.serving(
        [replace(of[name], workers=1) for name in ASGI],
        [{"NOTES": str(notes / name)} for name in ASGI],
    ) as started:
        for server, name in zip(started, ASGI, strict=True):
            assert answered(server)["debug"] is False
            assert (notes / name).read_text().split() == ["lifespan.startup"]
    for name in ASGI:
        events = (notes / name).read_text().split()
        assert (name, events) == (name, ["lifespan.startup", "lifespan.shutdown"])


def test_application_whose_lifespan_fails_does_not_start(tmp_path):
    failing = WITH_LIFESPAN.replace('+ ".complete"', '+ ".failed", "message": "no licence"')
    project = found(tmp_path / "shop", {"shop/asgi.py": failing}, {"NOTES": str(tmp_path / "n")})
    with (
        pytest.raises(servers.ServerError, match=r"asgi-uvicorn died \(exit status 3\)"),
        servers.serving([deployments_of(project)["asgi-uvicorn"]]),
    ):
        pass
