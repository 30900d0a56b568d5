"""What is true of every page; some of it with a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page

from comparisons import result_store
from comparisons.pairs import COMPARISONS
from tests.conftest import is_missing
from tests.support.advice import BLOCKED_ASYNC, result_of
from tests.support.results import EXPECTED, RESULT, empty_page, html_of

REFERENCE = settings.RESULTS_DIR / "reference.json"
PHONE, DESK = 390, 1400
URLS = ["/", "/advice/", "/changes/", "/history/", *(f"/{slug}/" for slug in COMPARISONS)]
# One of each kind, and one with all that is rare: where nothing needs all of them.
SOME = ["/", "/blocking-call/", "/many-waiting/", "/request-path/"]
SOME += ["/advice/", "/changes/", "/history/"]


@pytest.mark.parametrize("url", URLS)
def test_page_has_nothing_inline_and_nothing_from_elsewhere(url: str) -> None:
    html = empty_page(url)
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|//\w", html)


@pytest.mark.parametrize("url", SOME)
def test_page_allows_nothing_inline_and_nothing_from_elsewhere(client: Client, url: str) -> None:
    assert client.get(url)["Content-Security-Policy"] == "default-src 'self'"


@pytest.mark.parametrize("url", SOME)
def test_everything_that_a_page_loads_is_served(client: Client, url: str) -> None:
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', html_of(client, url))
    assert loaded
    for url in loaded:
        response = client.get(url)
        assert response.status_code == 200
        response.close()


def test_unknown_comparison_is_not_found(client: Client) -> None:
    response = client.get("/no-such-thing/")
    assert response.status_code == 404
    assert "No such page" in response.content.decode()


# --- In a browser


@pytest.fixture
def full(results: Path) -> None:
    """The reference run, one of one's own, and an older one of `advise`."""
    result_store.write(results / "2026-11-01T00-00-00Z.json", result_of(BLOCKED_ASYNC))
    for name in (REFERENCE.name, "2026-11-27T00-00-00Z.json"):
        (results / name).write_bytes(REFERENCE.read_bytes())


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, address: str, complaints: list[str]) -> Iterator[Page]:
    """A page whose console, and whose requests to other hosts, are among the complaints."""
    page = browser.new_page(viewport={"width": DESK, "height": 900}, base_url=address)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: request.url.startswith(address) or complaints.append(request.url),
    )
    yield page
    page.close()


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("width", [PHONE, pytest.param(DESK, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "urls", [SOME, pytest.param(URLS, marks=pytest.mark.long)], ids=["some", "all"]
)
def test_no_page_complains_or_is_wider_than_its_window(
    page: Page, complaints: list[str], width: int, urls: list[str]
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for url in urls:
        page.goto(url)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            complaints.append(f"{url} is wider than {width} px")
    assert complaints == []


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("full")
def test_choosing_two_variants_shows_their_code(page: Page, complaints: list[str]) -> None:
    page.goto("/blocking-call/")
    page.get_by_label("Left").select_option("sync")
    page.get_by_label("Right").select_option("async_native")
    page.get_by_role("button", name="Show").click()
    left, right = page.locator(".views article").all()
    assert 'answer = upstream().get(f"/wait/{WAIT_MS}")' in left.inner_text()
    assert 'answer = await async_upstream().get(f"/wait/{WAIT_MS}")' in right.inner_text()
    assert left.locator(".differs").count() == right.locator(".differs").count() == 2
    assert complaints == []


@pytest.mark.needs("chromium")
def test_copy_puts_the_source_on_the_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/blocking-call/")
    page.get_by_role("button", name="Copy async_blocking").first.click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    lines = Path(COMPARISONS["blocking-call"].module.__file__).read_text()
    assert copied.startswith("async def async_blocking(")
    assert copied.strip() in lines


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("full")
def test_copy_puts_the_recommended_command_on_the_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/advice/")
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("Copied").wait_for()
    (chosen,) = (one for one in BLOCKED_ASYNC.candidates if one.name == "threads_kept")
    assert page.evaluate("navigator.clipboard.readText()") == chosen.command


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_what_a_pitfall_says_is_seen_to_its_end(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/blocking-call/")
    source = page.locator(".views pre").first
    assert source.evaluate("pre => pre.scrollWidth <= pre.clientWidth")
    assert "waits in the loop's thread" in source.inner_text()


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("full")
def test_telephone_shows_every_figure_beside_its_name(page: Page) -> None:
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.goto("/blocking-call/")
    cells = page.locator(".scroll td[data-column]")
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert boxes
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE for box in boxes)


def colours_of(page: Page) -> tuple[str, str]:
    style = "getComputedStyle(document.body)"
    return page.evaluate(f"[{style}.color, {style}.backgroundColor]")


@pytest.mark.needs("chromium")
def test_dark_mode_is_light_on_dark(page: Page) -> None:
    def lightness(colour: str) -> int:
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto("/")
        text, background = map(lightness, colours_of(page))
        assert (text > background) is (scheme == "dark")


@pytest.mark.needs("chromium")
def test_script_in_every_string_of_a_result_file_does_not_run(
    page: Page, complaints: list[str], results: Path
) -> None:
    script = "<script>console.log('ran')</script><img src=x onerror=console.log('ran')>"
    hostile = json.loads(json.dumps(RESULT), object_hook=lambda found: hostile_in(found, script))
    hostile["measurements"][0]["comparison"] = hostile["verdicts"][0]["comparison"] = "cpu-bound"
    (results / "hostile.json").write_text(json.dumps(hostile))
    (results / "<img src=x onerror=console.log('ran')>.json").write_text("{")
    for url in ("/", "/cpu-bound/"):
        page.goto(url)
        assert script in page.locator("main").inner_text()
    assert complaints == []


def hostile_in(found: dict[str, Any], script: str) -> dict[str, Any]:
    """Put the script into every string, but for those without which it would be no result."""
    found = EXPECTED | {"deployment": script} | found if "expectation" in found else found
    kept = ("started", "finished", "verdict", "metric")
    return {
        key: script if isinstance(value, str) and key not in kept else value
        for key, value in found.items()
    }


@pytest.mark.needs("chromium")
@pytest.mark.needs("npm")
@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("url", "scheme"),
    [("/", "light"), ("/blocking-call/", "dark"), ("/advice/", "light")],
)
def test_axe_finds_no_violation(page: Page, axe: str, url: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    if url == "/blocking-call/":
        page.get_by_role("button", name="Try", exact=True).click()
        page.locator(".said").get_by_text("Answered by").wait_for()
    assert violations(page, axe) == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.needs("chromium")
@pytest.mark.needs("npm")
@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_page(page: Page, axe: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    found = {}
    for url in URLS:
        page.goto(url, wait_until="domcontentloaded")
        found[url] = violations(page, axe)
    assert {url: some for url, some in found.items() if some} == {}


def violations(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """What axe-core finds, with all that is folded opened: its rule, and the elements."""
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which npm has installed for all (`npm install -g axe-core`)."""
    npm = run(["npm", "root", "--global"], capture_output=True, text=True, check=True)
    script = Path(npm.stdout.strip(), "axe-core", "axe.min.js")
    if not script.exists():
        is_missing("axe-core", "npm install -g axe-core")
    return script.read_text()
