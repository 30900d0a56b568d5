"""Environments in which every command works all the same, in one table.

The short tests put many of them together, the long ones take each alone.
"""

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil
import pytest

from comparisons import offload, resources, result_store
from comparisons.pairs import COMPARISONS, shared_resource
from loadtests.judging.declared import Declared
from loadtests.running import environment, schedule, servers
from loadtests.running.selection import against_itself
from project.deployments import DEPLOYMENTS
from project.environment import KEPT_BACK, child_environ
from project.ports import free_port
from project.processes import BASE_DIR
from tests.support.clients import SMALL
from tests.support.commands import here, python
from tests.support.made import made_result, made_round, rows_of
from tests.support.prepared import copied, environ_of

NOWHERE = "127.0.0.1:1"  # nobody listens there
# A shell runs the command; for what only whoever starts a program can do.
PLAIN = 'exec "$@"'


@dataclass(frozen=True)
class Oddity:
    """What is odd: environment variables (None unsets one), or how the shell starts the command."""

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    shell: str = PLAIN

    def __str__(self) -> str:
        return self.name


def variable(name: str, value: str | None) -> Oddity:
    return Oddity(name, {name: value})


VARIABLES = [
    *(variable(name, f"http://{NOWHERE}") for name in ("http_proxy", "https_proxy", "HTTPS_PROXY")),
    Oddity("HTTP_PROXY and no_proxy", {"HTTP_PROXY": f"http://{NOWHERE}", "no_proxy": "a.test"}),
    variable("all_proxy", f"socks5://{NOWHERE}"),
    variable("ALL_PROXY", f"http://{NOWHERE}"),
    *(variable("DEBUG", "1"), variable("ALLOWED_HOSTS", "example.org"), variable("POOL_SIZE", "1")),
    variable("SECRET_KEY", "the reader's"),
    variable("DATABASE_MODE", "pool"),
    variable("DATABASE_ROLE", "nobody"),
    variable("DEPLOYMENT_NONCE", "another"),
    variable("SHARED_THREAD", "1"),
    variable("GUNICORN_CMD_ARGS", "--nonsense"),
    variable("WEB_CONCURRENCY", "3"),
    variable("UVICORN_ROOT_PATH", "/nowhere"),
    variable("FORWARDED_ALLOW_IPS", "*"),
    variable("NOTIFY_SOCKET", "/nowhere"),
    variable("PORT", "1"),
    variable("LOCUST_SKIP_MONKEY_PATCH", "1"),
    variable("LOCUST_USERS", "no number"),
    variable("GEVENT_LOOP", "none"),
    variable("DJANGO_SETTINGS_MODULE", "mysite.settings"),
    variable("PGSSLMODE", "require"),
    variable("PGSERVICE", "none"),
    variable("PGHOSTADDR", "192.0.2.1"),
    variable("PGOPTIONS", "-c default_transaction_read_only=on"),
    variable("PYTHONASYNCIODEBUG", "1"),
    variable("PYTHONDONTWRITEBYTECODE", "1"),
    variable("PYTHONMALLOC", "debug"),
    variable("PYTHONNOUSERSITE", "1"),
    variable("PYTHONSAFEPATH", "1"),
    variable("PYTHONUNBUFFERED", "1"),
    variable("PYTHONWARNINGS", "error"),
    variable("HOME", None),
    variable("PATH", ""),
    *(variable("LANG", "C"), variable("LC_ALL", "POSIX"), variable("TZ", "Mars/Phobos")),
    *(variable("TERM", "dumb"), variable("COLUMNS", "20"), variable("NO_COLOR", "1")),
    Oddity("GIT_DIR", {"GIT_DIR": "/nowhere"}),
]
# Each for itself: what they change shows in the output, or slows down.
ALONE = [
    variable("PYTHONIOENCODING", "ascii"),
    variable("PYTHONIOENCODING", "latin-1:strict"),
    variable("FORCE_COLOR", "1"),
    variable("PYTHONDEVMODE", "1"),
    variable("PYTHONOPTIMIZE", "2"),  # compiles all that is imported anew
]
LAUNCHERS = [
    Oddity("umask", shell='umask 0777; exec "$@"'),
    Oddity("elsewhere", shell='cd /; exec "$@"'),
    Oddity("signals ignored", shell="trap '' INT HUP CHLD PIPE; exec \"$@\""),
    Oddity("without stdin", shell='exec "$@" <&-'),
    Oddity("without stdout", shell='exec "$@" >&-'),
    Oddity("without stderr", shell='exec "$@" 2>&-'),
    Oddity("stderr full", shell='exec "$@" 2>/dev/full'),
]
ALL_LAUNCHERS = "umask 0777; cd /; trap '' INT HUP CHLD PIPE; exec \"$@\" <&- >&- 2>&-"


@pytest.fixture(scope="module")
def services_folder(migrated, tmp_path_factory):
    return copied(migrated, tmp_path_factory.mktemp("odd"))


@pytest.fixture
def manage(services_folder, tmp_path):
    """Runs `manage.py` with services of its own in an odd environment, to its end."""

    def run(odd: Oddity, *words: str) -> subprocess.CompletedProcess[str]:
        environ = environ_of(services_folder) | {"TMPDIR": str(tmp_path)} | odd.environ
        return subprocess.run(
            ["/bin/sh", "-c", odd.shell, "sh", sys.executable, BASE_DIR / "manage.py", *words],
            cwd=BASE_DIR,
            env={name: value for name, value in environ.items() if value is not None},
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # what an odd one writes
            timeout=110,
        )

    return run


def together(oddities: list[Oddity], shell: str = PLAIN) -> Oddity:
    """All of these variables at once."""
    environ = {name: value for odd in oddities for name, value in odd.environ.items()}
    return Oddity("together", environ, shell)


def assert_measured(path, done) -> None:
    """Everything was answered, by servers with as many processes as their deployments have."""
    assert done.returncode == 0, done.stderr
    rows = json.loads(path.read_text())["measurements"]
    assert rows
    for row in rows:
        assert row["requests"] > row["failures"] == 0, row["invalid_because"]
        master = 0 if row["deployment"] == "asgi-uvicorn" else 1
        assert row["server"]["processes"] == row["workers"] + master


@pytest.mark.long
def test_odd_variables_change_no_measurement(manage, tmp_path):
    path = tmp_path / "result.json"
    quick = ("compare", "cpu-bound", "--quick", "--output", str(path))
    assert_measured(path, manage(together(VARIABLES), *quick))


@pytest.mark.long
def test_odd_launchers_change_no_measurement(manage, tmp_path):
    path = tmp_path / "result.json"
    quick = ("compare", "cpu-bound", "--quick", "--output", str(path))
    assert_measured(path, manage(Oddity("all", shell=ALL_LAUNCHERS), *quick))
    assert path.stat().st_mode & 0o600 == 0o600  # whatever the umask was


@pytest.mark.parametrize(
    "odd",
    [together(VARIABLES), *(pytest.param(odd, marks=pytest.mark.long) for odd in ALONE)],
    ids=str,
)
def test_odd_variables_change_no_list(odd, manage):
    done = manage(odd, "compare", "--list", "cpu-bound")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu-bound: A CPU-bound function" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("odd", [*VARIABLES, *ALONE, *LAUNCHERS], ids=str)
def test_each_oddity_changes_no_measurement(odd, manage, tmp_path):
    path = tmp_path / "result.json"
    quick = ("compare", "cpu-bound", "--quick", "--output", str(path))
    assert_measured(path, manage(odd, *quick))


# --- What reaches a measured server ---------------------------------------------------------------


def test_nothing_of_other_programs_reaches_a_measured_server(monkeypatch):
    for odd in (*VARIABLES, *ALONE):
        for name, value in odd.environ.items():
            if value and name != "DJANGO_SETTINGS_MODULE":  # that one every command sets itself
                monkeypatch.setenv(name, value)
    with servers.serving([DEPLOYMENTS["wsgi-threads"]]) as (server,):
        master = psutil.Process(server.process.pid)
        environs = [process.environ() for process in (master, *master.children())]
    assert len(environs) == 2
    kept_back = {name for name in os.environ if name not in child_environ()}
    assert {"DEBUG", "http_proxy", "PYTHONOPTIMIZE", "LOCUST_USERS", "SECRET_KEY"} <= kept_back
    for environ in environs:
        assert {name for name in kept_back if environ.get(name) == os.environ[name]} == set()
    assert len({environ["SECRET_KEY"] for environ in environs}) == 1


def test_what_a_variant_declares_reaches_its_server(monkeypatch):
    monkeypatch.setenv("POOL_SIZE", "7")
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL | {"POOL_SIZE": "3"}]) as (server,):
        assert psutil.Process(server.process.pid).environ()["POOL_SIZE"] == "3"


def test_two_starts_have_two_secret_keys():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]] * 2, [SMALL] * 2) as both:
        keys = {psutil.Process(server.process.pid).environ()["SECRET_KEY"] for server in both}
    assert len(keys) == 2


def test_a_deployment_never_runs_with_debug():
    code = "from project import settings; print(settings.DEBUG)"
    assert python("-c", code, DEBUG="1", DEPLOYMENT="").stdout.strip() == "True"
    assert python("-c", code, DEBUG="1", DEPLOYMENT="asgi-uvicorn").stdout.strip() == "False"


@pytest.mark.parametrize("pattern", KEPT_BACK)
def test_every_pattern_keeps_its_names_back(pattern, monkeypatch):
    name = pattern.replace("*", "X")
    monkeypatch.setenv(name, "1")
    assert name not in child_environ()


@pytest.mark.parametrize(
    "name",
    [
        *("http_proxy", "ALL_PROXY"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("HTTP_PROXY", "all_proxy")),
    ],
)
def test_views_reach_services_past_a_proxy(name, monkeypatch):
    monkeypatch.setenv(name, f"http://{NOWHERE}")
    with resources.upstream.__wrapped__() as client:
        assert client.get("/wait/0").status_code == 200
    for script in ("sync_script", "async_script"):
        assert python("-m", f"comparisons.scripts.{script}").returncode == 0

    async def ask():
        for client, path in [
            (resources._open_client(), "/wait/0"),
            (offload._open_cpu_client(), "/fib/1"),
        ]:
            async with client:
                assert (await client.get(path)).status_code == 200

    asyncio.run(ask())
    assert not shared_resource.shared_client.__wrapped__().trust_env


# --- Outputs that fail ----------------------------------------------------------------------------


def saved_result(folder, **rates):
    """A result of one A/A comparison with rounds at these rates, as `compare` writes it."""
    path = folder / "made.json"
    measured = [
        made_round(name, block, rate, deployment="wsgi-threads")
        for name, of_name in rates.items()
        for block, rate in enumerate(of_name)
    ]
    declared = Declared.of(against_itself(COMPARISONS["blocking-call"]))
    result_store.save(path, made_result([declared], measured, schedule.QUICK), rows_of(measured))
    return path


STEADY, TWICE, WILD, TOO_FEW = [50, 50, 50], [100, 100, 100], [25, 50, 100], [1, 1, 1]


@pytest.mark.parametrize(
    ("again", "status", "sign"),
    [(STEADY, 0, "[holds]"), (TWICE, 1, "[refuted]"), (WILD, 3, "?"), (TOO_FEW, 3, "-")],
    ids=["holds", "refuted", "inconclusive", "invalid"],
)
def test_check_tells_the_verdicts_by_exit_status_and_ascii_tells_them_apart(
    again, status, sign, tmp_path
):
    path = str(saved_result(tmp_path, sync=STEADY, sync_again=again))
    done = here("compare", "--from", path, "--check", encoding="ascii")
    assert (done.returncode, done.stderr) == (status, "")
    assert re.search(rf"\n{re.escape(sign)} (not measured: )?sync_again serves", done.stdout)


def test_check_is_the_exit_status_of_the_process_whose_output_is_ascii(tmp_path):
    path = str(saved_result(tmp_path, sync=STEADY, sync_again=TWICE))
    done = python("manage.py", "compare", "--from", path, "--check", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\n[refuted] sync_again serves" in done.stdout


def test_without_check_a_refuted_expectation_is_a_finding(tmp_path):
    path = str(saved_result(tmp_path, sync=STEADY, sync_again=TWICE))
    assert here("compare", "--from", path).returncode == 0


def failing(words, output, **environ):
    """Exit status and stderr of a command whose stdout is full, or whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as full, os.fdopen(writer, "wb") as unread:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=BASE_DIR,
            env=os.environ | environ,
            stdout={"full": full, "unread": unread}[output],
            stderr=subprocess.PIPE,
            text=True,
            timeout=110,
        )
    return done.returncode, done.stderr


LOST_OUTPUT = {"full": (2, "No space left on device"), "unread": (141, "Broken pipe")}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("output", ["full", pytest.param("unread", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "command",
    [
        *("--list", "serve"),
        *(pytest.param(command, marks=pytest.mark.long) for command in ("--from", "check")),
    ],
)
def test_a_command_whose_output_is_lost_says_so(command, output, tmp_path):
    words = {
        "--list": ["compare", "--list"],
        "--from": ["compare", "--from", str(saved_result(tmp_path, sync=STEADY, sync_again=WILD))],
        "check": ["check"],
        "serve": ["serve", "asgi-uvicorn", "--port", str(free_port())],
    }
    status, error = LOST_OUTPUT[output]
    assert failing(words[command], output) == (
        status,
        f"manage.py: cannot write the output: {error}\n",
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.long
@pytest.mark.parametrize("output", LOST_OUTPUT)
def test_a_result_is_kept_and_named_when_the_output_is_lost(output, tmp_path):
    path = tmp_path / "result.json"
    quick = ["compare", "print", "--quick", "--output", str(path)]
    status, error = LOST_OUTPUT[output]
    said = f"manage.py compare: cannot write the output: {error}; result: {path}\n"
    assert failing(quick, output) == (status, said)
    assert json.loads(path.read_text())["measurements"]
    with gzip.open(result_store.samples_path(path), "rt") as file:
        assert len(list(file)) >= 9


# --- Git ------------------------------------------------------------------------------------------


def test_a_repository_around_the_checkout_is_not_its_own(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    (tmp_path / "copy").mkdir()
    for place, own in (tmp_path, True), (tmp_path / "copy", False):
        monkeypatch.setattr(environment, "BASE_DIR", place)
        assert bool(environment.commit()) == own
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert environment.commit() is None
