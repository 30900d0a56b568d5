"""The first start of all, interrupted at each of its steps, and repeated.

With PostgreSQL alone, in a folder of the test's own: the other services keep nothing.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from project.processes import BASE_DIR
from tests.project.services.test_services import ONLY_POSTGRES, VARIABLES, assert_they_end, keepers
from tests.support.clients import until

# `manage.py` starts the services, makes the database and then says what is there.
SAY = """
from comparisons.models import Account, Customer, Invoice
print(*(model.objects.count() for model in (Customer, Invoice, Account)))
"""
COMMAND = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", SAY]
EVERYTHING = "1000 100000 1000"
COPYING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY comparisons_invoice%'"


@contextmanager
def starting(folder):
    """The process of a command that starts the services; what is left of it ends with the block."""
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    process = subprocess.Popen(
        COMMAND,
        cwd=BASE_DIR,
        env=environ | ONLY_POSTGRES | {"SERVICES_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
    assert_they_end(list(keepers(folder).values()))


def end(process, number):
    """Interrupt it and await its end. Ctrl-C comes to all processes of a terminal."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.communicate()


def data_folder_is_in_the_making(folder):
    return list(folder.glob("postgres/cluster-*/data/base"))


def data_folder_is_made(folder):
    return (folder / "postgres/cluster").exists()


def postgres_answers(folder):
    return (folder / "postgres/address").exists()


def tables_are_filled(folder):
    if not postgres_answers(folder):
        return False
    url = (folder / "postgres/address").read_text()
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(COPYING).fetchone()


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
STEPS = [
    pytest.param(data_folder_is_in_the_making, signal.SIGKILL, marks=pytest.mark.long),
    pytest.param(data_folder_is_made, signal.SIGTERM, marks=pytest.mark.long),
    pytest.param(postgres_answers, signal.SIGKILL, marks=pytest.mark.long),
    (tables_are_filled, signal.SIGINT),
]


@pytest.mark.parametrize(("reached", "number"), STEPS)
def test_first_start_can_be_repeated_wherever_it_was_interrupted(reached, number, tmp_path):
    folder = tmp_path / "services"
    with starting(folder) as process:
        until(lambda: reached(folder) or process.poll() is not None)
        end(process, number)
    assert_second_start_is_whole(folder)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_first_start_can_be_repeated_from_every_tenth_of_a_second(tmp_path):
    """Another signal at each, until a start comes to its end and nothing is left to interrupt."""
    for tenths in itertools.count():
        folder = Path(tmp_path, str(tenths))
        with starting(folder) as process:
            try:
                process.wait(tenths / 10)
                return
            except subprocess.TimeoutExpired:
                end(process, SIGNALS[tenths % len(SIGNALS)])
        assert_second_start_is_whole(folder)
        shutil.rmtree(folder)


def assert_second_start_is_whole(folder):
    with starting(folder) as process:
        said, _ = process.communicate()
        assert said.splitlines()[-1:] == [EVERYTHING], said
    assert keepers(folder) == {}
