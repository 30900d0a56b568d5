"""`manage.py report FILE`: one HTML file with all in it, and one line for what cannot be."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from playwright.sync_api import sync_playwright

from comparisons import result_store
from comparisons.result import Hold, Result

REFERENCE = settings.RESULTS_DIR / result_store.REFERENCE
HOSTILE = """<script>document.title='ran'</script><img src=x onerror="document.title='ran'">"""


HOLD = Hold(HOSTILE + ":3", HOSTILE, HOSTILE, 21.4, 20.9, 1, 24)


def small_result():
    """Of the reference run one comparison, and what no pair is called and no pair would say."""
    whole = result_store.read(REFERENCE)
    rows = [row for row in whole.measurements if row.comparison == "blocking-call"]
    hostile = {"comparison": HOSTILE, "variant": HOSTILE, "deployment": HOSTILE, "held": [HOLD]}
    verdicts = [verdict for verdict in whole.verdicts if verdict.comparison == "blocking-call"]
    return Result(
        started=whole.started,
        environment={"python": "3.11", "cpu_model": HOSTILE},
        declared=[row for row in whole.declared if row["comparison"] == "blocking-call"],
        measurements=[*rows, replace(rows[0], **hostile, invalid_because=[HOSTILE], valid=False)],
        verdicts=[*verdicts, replace(verdicts[0], comparison=HOSTILE, because=HOSTILE)],
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "result.json"
    result_store.write(path, small_result())
    return path


def report(path, *arguments):
    call_command("report", str(path), *arguments)
    return path.with_suffix(".html").read_text()


def refusal(path, *arguments):
    with pytest.raises(CommandError) as refused:
        call_command("report", str(path), *arguments)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_report_stands_beside_the_result_and_has_what_pages_have(path, capsys):
    html = report(path)
    assert str(path.with_suffix(".html")) in capsys.readouterr().out
    for shown in (
        "makes everyone else wait",  # the claim
        "as many requests a second as async_blocking",  # what was found
        "57.4",  # the table
        '<span class="k">async</span>',  # the code
        "--pitfall: light-dark(",  # the styles
    ):
        assert shown in html
    assert html.count("data-chart=") == 4


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_report_opens_offline_and_nothing_in_it_runs(path, scheme):
    report(path)
    asked, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": 390, "height": 800}, color_scheme=scheme, java_script_enabled=True
        )
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        url = path.with_suffix(".html").as_uri()
        page.goto(url)
        page.get_by_role("link", name="A blocking call in an async view").click()
        assert page.url.endswith("#blocking-call")
        assert "ran" not in page.title().split()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        bar = page.locator(
            "#blocking-call [data-chart=throughput] svg path[fill='var(--pitfall)']"
        ).first
        assert bar.bounding_box()["width"] > 5
        colour = bar.evaluate("bar => getComputedStyle(bar).fill")
        browser.close()
    assert (asked, complaints) == ([url], [])
    assert colour == {"light": "rgb(180, 56, 15)", "dark": "rgb(255, 159, 120)"}[scheme]


def test_report_is_overwritten_only_if_asked_for(path, tmp_path):
    html = report(path)
    assert "--force" in refusal(path)
    assert report(path, "--force") == html
    assert "is the result itself" in refusal(path, "--force", "--output", str(path))
    result_store.read(path)


def test_what_is_no_result_is_refused_in_a_line(tmp_path):
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    assert "not a result file" in refusal(damaged)
    assert "cannot be read" in refusal(tmp_path / "no.json")
    assert not damaged.with_suffix(".html").exists()


def test_what_cannot_be_written_is_said_in_a_line_and_leaves_nothing(path, monkeypatch):
    assert "cannot write" in refusal(path, "--output", str(path / "below.html"))

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left on device" in refusal(path)
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def test_language_is_chosen(path):
    assert '<html lang="tr">' in report(path, "--language", "tr")
    assert "no language 'klingon'" in refusal(path, "--language", "klingon")


def test_older_result_has_a_report(path):
    content = json.loads(path.read_text())
    content["declared"] = []
    for row in content["measurements"]:
        for key in ("distribution", "timeline", "workers", "rate"):
            row.pop(key, None)
    for verdict in content["verdicts"]:
        verdict.pop("expected", None)
    path.write_text(json.dumps(content))
    assert report(path).count("data-chart=") == 3


@pytest.mark.long
def test_reports_of_the_whole_reference_run_can_be_mailed(tmp_path):
    call_command("report", str(REFERENCE), "--output", str(tmp_path / "report.html"))
    html = (tmp_path / "report.html").read_text()
    assert len(html.encode()) < 3_000_000
    assert html.count("data-chart=") > 250
