"""Result files of a test's own, and the pages in a real browser."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from playwright.sync_api import Browser, sync_playwright

from project.wsgi import application
from tests.support.results import MEASUREMENT, RESULT, VERDICT

CHROMIUM_OPTIONS = (
    *("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)

Save = Callable[..., None]


@pytest.fixture(autouse=True)
def results(settings: LazySettings, tmp_path: Path) -> Path:
    settings.RESULTS_DIR = tmp_path
    return tmp_path


@pytest.fixture
def save(results: Path) -> Save:
    """Writes a result file: RESULT, but for the measurement, the verdict and the keys given."""

    def save(
        name: str = "2026-11-22T21-30-05Z.json",
        measurement: dict[str, Any] | None = None,
        verdict: dict[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        result = copy.deepcopy(RESULT) | {
            "measurements": [MEASUREMENT | (measurement or {})],
            "verdicts": [VERDICT | (verdict or {})],
        }
        (results / name).write_text(json.dumps(result | keys))

    return save


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The project served as runserver does it, from a thread of this process."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(application)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()
