"""What a great number of requests leaves behind in a process with our ASGI handler: nothing."""

import json
import os
import subprocess
import sys
import uuid

import pytest

from project.processes import BASE_DIR

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def soaked(kind, requests, database):
    """Return the counts after the first hundred requests, and at the end."""
    environ = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DEPLOYMENT_NONCE": f"soak-{uuid.uuid4().hex}",  # the name of its connections
        "DATABASE_MODE": database,
        "POOL_SIZE": "4",
        "POOL_TIMEOUT": "60",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.soaking", kind, requests],
        cwd=BASE_DIR,
        env=os.environ | environ,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    first, last = map(json.loads, done.stdout.splitlines())
    return first, last


CONNECTIONS = {"none": 0, "pool": 4}


@pytest.mark.parametrize("database", CONNECTIONS)
def test_thousand_requests_whose_clients_leave_leave_nothing_behind(database):
    first, last = soaked("cancelled", "1000", database)
    assert first["connections"] == CONNECTIONS[database]
    assert first["threads"] == 0
    assert last == first


@pytest.mark.parametrize("database", CONNECTIONS)
def test_fifty_thousand_requests_end_with_what_there_was_after_a_hundred(database):
    first, last = soaked("lasting", "50000", database)
    assert first["connections"] == CONNECTIONS[database]
    assert last == first
