"""The services, real ones in a folder of the test's own, used by processes that live and die."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from comparisons import limited_roles
from loadtests.running import servers
from project import services
from project.processes import BASE_DIR, dying_with_parent
from project.services import SERVICES, addresses
from project.services.service import ServiceError
from tests.support.prepared import copied, environ_of

PATIENCE = 60  # seconds; only what is broken takes so long
NAMES = [service.name for service in SERVICES]
VARIABLES = [service.variable for service in SERVICES]
# For what concerns Postgres alone: the others as if a parent had started them.
ONLY_POSTGRES = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "UPSTREAM_URL": "http://127.0.0.1:1",
    "CPU_SERVICE_URL": "http://127.0.0.1:1",
    services.CHECKED: "redis://127.0.0.1:1/0 http://127.0.0.1:1",
}


def using(first: str = "", last: str = "") -> str:
    """Code that says the addresses once the services are up, and leaves when told to."""
    return f"""
import os, sys
from project.services import schema
from project import services
from project.services.service import ServiceError
{first}
try:
    with services.running():
        print(*(os.environ[service.variable] for service in services.SERVICES), flush=True)
        sys.stdin.readline()
        {last}
except ServiceError as error:
    sys.exit(f"ServiceError: {{error}}")
"""


@dataclass(frozen=True)
class User:
    """A process that uses the services."""

    process: subprocess.Popen[str]
    folder: Path

    def addresses(self) -> list[str]:
        """Of Postgres, Valkey and the upstream, once they are up."""
        assert self.process.stdout
        return self.process.stdout.readline().split()

    def leave(self) -> None:
        """Let it end in good order, and wait for that."""
        self.process.communicate("\n", timeout=PATIENCE)

    def refused(self) -> str:
        """The one line with which it ends instead; nothing is left running."""
        _, message = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 1
        assert message.startswith("ServiceError: ")
        assert message.count("\n") == 1
        assert keepers(self.folder) == {}
        return message


def keepers(folder: Path) -> dict[str, psutil.Process]:
    """The keepers that live, by the name of their service."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        cmdline = process.info["cmdline"] or [""]
        if "project.services.keeper" in cmdline and Path(cmdline[-1]).parent == folder:
            found[Path(cmdline[-1]).name] = process
    return found


@contextmanager
def everything_ends(folder: Path) -> Iterator[None]:
    """After the block no process is left of those that kept and were the services before it."""
    before = [p for k in keepers(folder).values() for p in (k, *k.children(recursive=True))]
    assert len(before) > 2 * len(NAMES)
    yield
    assert_they_end(before)


def assert_they_end(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(filter(lives, processes)) == []


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended, be it that its parent has yet to collect it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def query(url: str, sql: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return [str(column) for column in cursor.fetchone() or ()] if cursor.description else []


@pytest.fixture
def folder(run_once: Path, tmp_path: Path) -> Path:
    """Of services that have run once, which saves the test the making of a database."""
    return copied(run_once, tmp_path)


@pytest.fixture
def start_user(folder: Path) -> Iterator[Callable[..., User]]:
    with users(folder) as start:
        yield start


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Path]]:
    """Addresses and folder of services that tests only look at."""
    folder = tmp_path_factory.mktemp("shared") / "services"
    with users(folder) as start:
        yield start().addresses(), folder


@contextmanager
def users(folder: Path) -> Iterator[Callable[..., User]]:
    """Starts processes that use the services in `folder`; none outlives the block."""
    with ExitStack() as stack:

        def start(code: str = using(), **variables: str) -> User:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=BASE_DIR,
                env=environ_of(folder) | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return User(process, folder)

        yield start
    assert_they_end(list(keepers(folder).values()))


StartUser = Callable[..., User]


def test_every_service_answers(shared: tuple[list[str], Path]) -> None:
    postgres, valkey, upstream, cpu_service = shared[0]
    assert query(postgres, "SELECT current_database()") == ["comparisons"]
    with redis.Redis.from_url(valkey) as client:
        assert client.ping()
    for url in (f"{upstream}/wait/0", f"{cpu_service}/fib/1"):
        with servers.direct.open(url) as response:
            assert response.status == 200


def test_postgres_is_durable_roomy_and_local(shared: tuple[list[str], Path]) -> None:
    names = ["fsync", "synchronous_commit", "max_connections", "listen_addresses"]
    settings = ", ".join(f"current_setting('{name}')" for name in names)
    assert query(shared[0][0], f"SELECT {settings}") == ["on", "on", "300", "127.0.0.1"]


def test_postgres_asks_for_the_password(shared: tuple[list[str], Path]) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(shared[0][0].replace("@", "x@"), "SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '/tmp/comparisons-must-not-write-here'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE ROLE another",
    ],
)
def test_views_log_in_as_a_plain_role(statement: str, shared: tuple[list[str], Path]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(shared[0][0], statement)


def test_nobody_logs_in_as_superuser(shared: tuple[list[str], Path]) -> None:
    able = "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND (rolsuper OR rolcreaterole)"
    assert query(shared[0][0], able) == ["0"]


def test_limited_roles_are_there_from_the_start(shared: tuple[list[str], Path]) -> None:
    limits = "SELECT count(*), min(rolconnlimit), max(rolconnlimit) FROM pg_roles"
    found = query(shared[0][0], f"{limits} WHERE rolname LIKE 'comparisons_limited_%'")
    limit = str(limited_roles.LIMIT)
    assert found == [str(len(limited_roles.NAMES)), limit, limit]
    for role in (limited_roles.NAMES[0], limited_roles.NAMES[-1]):
        psycopg.connect(shared[0][0], user=role).close()


def test_only_the_owner_may_look_into_the_folder(shared: tuple[list[str], Path]) -> None:
    assert shared[1].stat().st_mode & 0o777 == 0o700


def test_nothing_is_left_when_the_last_user_has_left(start_user: StartUser, folder: Path) -> None:
    user = start_user()
    user.addresses()
    with everything_ends(folder):
        user.leave()
        assert keepers(folder) == {}  # already when it returns, not some time after


def test_data_outlive_the_services(start_user: StartUser) -> None:
    user = start_user(**ONLY_POSTGRES)
    query(user.addresses()[0], "CREATE TABLE kept (number) AS VALUES (7)")
    user.leave()
    assert query(start_user(**ONLY_POSTGRES).addresses()[0], "SELECT number FROM kept") == ["7"]


def test_users_share_until_the_last_leaves(start_user: StartUser, folder: Path) -> None:
    first, second = start_user(), start_user()  # both at once: one starts, the other joins
    addresses = first.addresses()
    assert second.addresses() == addresses
    first.leave()
    assert query(addresses[0], "SELECT 1") == ["1"]
    with everything_ends(folder):
        second.leave()


def test_a_newcomer_during_the_stop_gets_services_that_stay(start_user: StartUser) -> None:
    user = start_user(**ONLY_POSTGRES)
    user.addresses()
    for _ in range(3):
        newcomer = start_user(**ONLY_POSTGRES)
        user.leave()
        assert query(newcomer.addresses()[0], "SELECT 1") == ["1"]
        user = newcomer


def test_an_exception_stops_the_services_and_restores_the_environment(
    start_user: StartUser, folder: Path
) -> None:
    user = start_user(
        """
import os
from project import services
before = dict(os.environ)
try:
    with services.running():
        raise LookupError
except LookupError:
    print(dict(os.environ) == before)
""",
        **ONLY_POSTGRES,
        PGSSLMODE="require",
    )
    assert user.addresses() == ["True"]
    assert keepers(folder) == {}


def test_libpqs_variables_are_for_a_database_of_the_users(start_user: StartUser) -> None:
    environ = ONLY_POSTGRES | {"PGSSLMODE": "require"}  # ours has no TLS
    url = start_user(**environ).addresses()[0]
    _, message = start_user(**environ, DATABASE_URL=url).process.communicate()
    assert "server does not support SSL" in message


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL]
)
def test_a_user_that_is_killed_leaves_nothing(
    number: signal.Signals, start_user: StartUser, folder: Path
) -> None:
    user = start_user(**ONLY_POSTGRES)
    user.addresses()
    with everything_ends(folder):
        user.process.send_signal(number)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "postgres" else pytest.mark.long) for n in NAMES],
)
def test_a_killed_service_is_started_afresh_beside_its_present_users(
    name: str, start_user: StartUser, folder: Path
) -> None:
    user = start_user()
    before = user.addresses()
    (server,) = keepers(folder)[name].children()
    server.kill()
    after = start_user().addresses()
    changed = [name for name, old, new in zip(NAMES, before, after, strict=True) if old != new]
    assert changed == [name]


def test_killed_keepers_take_the_services_with_them(start_user: StartUser, folder: Path) -> None:
    start_user().addresses()
    with everything_ends(folder):
        for keeper in keepers(folder).values():
            keeper.kill()


def test_services_whose_keepers_were_killed_are_started_afresh(
    start_user: StartUser, folder: Path
) -> None:
    before = start_user().addresses()
    for keeper in keepers(folder).values():
        keeper.kill()
    after = start_user().addresses()
    assert not set(before) & set(after)
    assert query(after[0], "SELECT 1") == ["1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_child_whose_parent_died_before_it_asked_ends(number: signal.Signals) -> None:
    child = dying_with_parent([sys.executable, "-c", "print('lives')"], number)
    child[child.index(str(os.getpid()))] = str(os.getppid())  # as if another had started it
    done = subprocess.run(child, capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == -number


def test_keepers_stop_on_sigterm(start_user: StartUser, folder: Path) -> None:
    start_user().addresses()
    with everything_ends(folder):
        for keeper in keepers(folder).values():
            keeper.terminate()


@pytest.mark.parametrize("content", [f"{os.getpid()}\n", ""], ids=["names this process", "empty"])
def test_a_stale_pid_file_is_no_obstacle(content: str, start_user: StartUser, folder: Path) -> None:
    (folder / "postgres/cluster/data/postmaster.pid").write_text(content)
    assert query(start_user(**ONLY_POSTGRES).addresses()[0], "SELECT 1") == ["1"]


def test_a_data_folder_made_by_half_is_no_obstacle(start_user: StartUser, folder: Path) -> None:
    half = folder / "postgres/cluster-half"  # as it is called until it is whole
    (folder / "postgres/cluster").rename(half)
    (half / "data/PG_VERSION").unlink()
    assert query(start_user(**ONLY_POSTGRES).addresses()[0], "SELECT 1") == ["1"]
    assert not half.exists()


def test_cluster_of_an_earlier_version_is_made_anew(start_user: StartUser, folder: Path) -> None:
    cluster = folder / "postgres/cluster"
    (cluster / "owner-password").rename(cluster / "password")  # it was the superuser's
    url = start_user(**ONLY_POSTGRES).addresses()[0]
    assert query(url, "SELECT current_user") == ["comparisons"]
    assert not (cluster / "password").exists()


def test_deleted_folder_is_no_obstacle_to_the_end(start_user: StartUser, folder: Path) -> None:
    user = start_user()
    user.addresses()
    with everything_ends(folder):
        shutil.rmtree(folder)
        user.leave()
        assert keepers(folder) == {}  # already when it returns
    assert user.process.returncode == 0


def test_deleted_folder_is_named_by_the_check(start_user: StartUser, folder: Path) -> None:
    user = start_user(using(last="services.ensure_alive()"))
    user.addresses()
    shutil.rmtree(folder)
    _, message = user.process.communicate("\n", timeout=PATIENCE)
    assert message == (
        f"ServiceError: the services have lost their data ({folder} was deleted meanwhile)\n"
    )
    assert keepers(folder) == {}


@pytest.mark.parametrize("mask", ["0o777", pytest.param("0o000", marks=pytest.mark.long)])
def test_services_start_whatever_the_umask(
    mask: str, start_user: StartUser, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "services"
    folder.parent.mkdir()
    code = using(f"os.umask({mask})")
    user = start_user(code, **ONLY_POSTGRES, SERVICES_DIR=str(folder))
    assert query(user.addresses()[0], "SELECT 1") == ["1"]
    made = [folder, *folder.rglob("*.lock"), *folder.rglob("*.log"), *folder.rglob("address")]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}
    assert {path.stat().st_mode & 0o600 for path in made} == {0o600}
    user.leave()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is full soon."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60M", "none", disk])
    if mounted.returncode:
        pytest.skip("may not mount a small disk here (root may)")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.long
def test_full_disk_is_named_and_room_mends_it(start_user: StartUser, small_disk: Path) -> None:
    code = using(last="schema.ensure(); print('made', flush=True); sys.stdin.readline()")
    environ = ONLY_POSTGRES | {"SERVICES_DIR": str(small_disk / "services")}
    for _ in range(2):
        user = start_user(code, **environ)
        _, message = user.process.communicate("\n", timeout=PATIENCE)
        assert user.process.returncode == 1
        assert re.fullmatch(r"ServiceError: .* \(.*services has \d+ MB of disk left\)\n", message)
        assert keepers(small_disk / "services") == {}
    subprocess.run(["mount", "-o", "remount,size=800M", small_disk], check=True)
    user = start_user(code, **environ)
    url = user.addresses()[0]
    assert user.process.stdin
    user.process.stdin.write("\n")
    user.process.stdin.flush()
    assert user.addresses() == ["made"]
    assert query(url, "SELECT count(*) FROM comparisons_invoice") == ["100000"]
    user.leave()


def test_data_of_another_postgres_are_named(start_user: StartUser, folder: Path) -> None:
    cluster = folder / "postgres/cluster"
    (cluster / "data/PG_VERSION").write_text("9\n")
    message = start_user(**ONLY_POSTGRES).refused()
    assert f"{cluster} is of PostgreSQL 9" in message
    assert "delete that folder" in message


def test_a_service_that_does_not_start_says_why(start_user: StartUser, folder: Path) -> None:
    with open(folder / "postgres/cluster/data/postgresql.conf", "a") as configuration:
        configuration.write("no_such_setting = 1\n")
    message = start_user(**ONLY_POSTGRES).refused()
    assert "contains errors" in message
    assert str(folder / "postgres/server.log") in message


def test_a_folder_of_another_user_is_refused(start_user: StartUser, folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        elsewhere = folder
    else:
        elsewhere = Path("/usr")  # root's
    assert "belongs to another user" in start_user(SERVICES_DIR=str(elsewhere)).refused()


def test_a_folder_that_cannot_be_made_is_refused(start_user: StartUser, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = start_user(SERVICES_DIR=str(tmp_path / "file" / "below")).refused()
    assert "Not a directory" in message


def test_only_what_has_no_address_is_started(start_user: StartUser, folder: Path) -> None:
    addresses = start_user(**ONLY_POSTGRES).addresses()
    assert addresses[1:] == [ONLY_POSTGRES[variable] for variable in VARIABLES[1:]]
    assert list(keepers(folder)) == ["postgres"]


@pytest.mark.parametrize(
    ("variable", "url", "problem"),
    [
        ("DATABASE_URL", "postgres://me:secret@127.0.0.1:1/db", "Connection refused"),
        ("DATABASE_URL", "postgres://me:secret@127.0.0.1:99999/db", "malformed"),
        ("DATABASE_URL", "postgres://me:secret/secret@127.0.0.1:5432/db", "malformed"),
        ("DATABASE_URL", "postgres://me:secret@127.0.0.1:1", "names no database"),
        ("DATABASE_URL", "mysql://me:secret@127.0.0.1/db", "does not begin with postgres://"),
        ("DATABASE_URL", "me:secret@127.0.0.1", "does not begin with postgres://"),
        ("REDIS_URL", "redis://:secret@127.0.0.1:1/0", "refused"),
        ("REDIS_URL", "memcached://127.0.0.1", "does not begin with redis://"),
        ("UPSTREAM_URL", "http://127.0.0.1:1", "Connection refused"),
    ],
)
def test_an_address_of_the_user_is_checked(
    variable: str, url: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, url)
    with pytest.raises(ServiceError) as refusal, services.running():
        pass
    message = str(refusal.value)
    assert message.startswith(f"{variable} ")
    assert problem in message
    assert "secret" not in message
    assert "\n" not in message


def test_an_address_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgres://127.0.0.1:{port}/db")
        monkeypatch.setattr(addresses, "CHECK_TIMEOUT_S", 0.1)
        with pytest.raises(ServiceError, match=r"no answer in 0.1 s"), services.running():
            pass


def test_addresses_that_a_parent_has_checked_are_not_checked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apps = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    urls = ["postgres://127.0.0.1:1/db", "redis://127.0.0.1:1/0", *apps]
    for variable, url in zip(VARIABLES, urls, strict=True):
        monkeypatch.setenv(variable, url)
    monkeypatch.setenv(services.CHECKED, " ".join(urls))
    with services.running():
        assert [os.environ[variable] for variable in VARIABLES] == urls
