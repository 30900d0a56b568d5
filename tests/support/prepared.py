"""Services of a test's own: their environment, and data made once for all of pytest's processes."""

import fcntl
import os
import subprocess
import sys

import pytest

from project import services
from project.processes import BASE_DIR

RUN_ONCE = "from project import services\nwith services.running(): pass"


def environ_of(folder):
    """The environment of a command whose services are those of this folder."""
    given = {service.variable for service in services.SERVICES} | {services.CHECKED}
    environ = {name: value for name, value in os.environ.items() if name not in given}
    return environ | {"SERVICES_DIR": str(folder)}


def copied(folder, place):
    """A copy of it, below `place`."""
    subprocess.run(["cp", "-a", folder, place], check=True)
    return place / folder.name


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """The folder of services that have run and stopped, with no tables yet."""
    return prepared(tmp_path_factory, "run_once", "-c", RUN_ONCE)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """The folder of services that have run and stopped, with all tables and rows."""
    return prepared(tmp_path_factory, "migrated", "manage.py", "migrate", "--verbosity", "0")


def prepared(tmp_path_factory, name, *command):
    """What the command leaves in a services' folder; the first of pytest's processes makes it."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    (place / name).mkdir(exist_ok=True)
    folder = place / name / "services"
    with open(place / f"{name}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = place / name / "draft"
            subprocess.run(
                [sys.executable, *command], cwd=BASE_DIR, env=environ_of(draft), check=True
            )
            draft.rename(folder)
    return folder
