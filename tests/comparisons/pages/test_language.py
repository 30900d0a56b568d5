"""The language of a page."""

import copy
import json
import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils.translation import override

from comparisons import result_store
from comparisons.pages import burst, drawing, report
from comparisons.pages.prose import prose
from comparisons.pairs import COMPARISONS
from tests.support.untranslated import mark_translated, unmarked, words_of

REFERENCE = settings.RESULTS_DIR / result_store.REFERENCE
PAIR = ["async_blocking", "async_native"]
PAGES = ["/", "/blocking-call/", "/advice/", "/changes/", "/history/"]
SKIP = {"en": "Skip to the content", "tr": "İçeriğe geç"}


def language_of(response) -> str:
    """Its language, if everything on and about the page agrees on it."""
    html = response.content.decode()
    language = response["Content-Language"]
    assert f'<html lang="{language}">' in html
    assert [code for code, said in SKIP.items() if said in html] == [language]
    assert {"Accept-Language", "Cookie"} <= {*re.split(", *", response["Vary"])}
    return language


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("asked", "language"),
    [("", "en"), ("tr-TR,tr;q=0.9,en;q=0.8", "tr"), ("de,tr;q=0.5", "tr"), ("de", "en")],
)
def test_page_is_in_the_language_that_the_browser_asks_for(client: Client, path, asked, language):
    headers = {"accept-language": asked} if asked else {}
    assert language_of(client.get(path, headers=headers)) == language


@pytest.mark.parametrize("path", PAGES)
def test_switch_leads_back_to_the_same_page_in_the_other_language(path):
    client = Client(enforce_csrf_checks=True)
    for language in ("tr", "en"):
        html = client.get(path).content.decode()
        form = re.search(
            r'<form class="language" action="(.+?)" method="post">(.*?)</form>', html, re.DOTALL
        )
        fields = dict(re.findall(r'name="(\w+)" value="(.+?)"', form[2]))
        assert fields["language"] == language
        response = client.post(form[1], fields)
        assert (response.status_code, response["Location"]) == (302, path)
        assert language_of(client.get(path)) == language


def test_page_that_is_not_there_is_in_the_readers_language_too(client: Client):
    response = client.get("/no-such-page/", headers={"accept-language": "tr"})
    assert language_of(response) == "tr"
    assert "<code>/no-such-page/</code> adresinde" in response.content.decode()


def test_next_request_of_the_thread_is_in_its_own_language(client: Client):
    client.get("/", headers={"accept-language": "tr"})
    assert language_of(client.get("/")) == "en"


def test_views_that_are_measured_are_asked_for_no_language(client: Client):
    response = client.get("/bystander/", headers={"accept-language": "tr"})
    assert "Content-Language" not in response


def test_sentence_begins_with_a_capital_of_its_language():
    assert prose("in threads") == "In threads"
    with override("tr"):
        assert prose("iki `i`") == "İki <code>i</code>"
        assert prose("") == ""


# --- What no catalogue can translate, because nothing marks it


VARIANTS = {(slug, one.name) for slug, pair in COMPARISONS.items() for one in pair.variants}
NAMES = {
    *("WSGI", "ASGI", "UTC", "ms", "MB", "p50", "p99", "X-Deployment"),
    *("Python", "Django", "PostgreSQL", "uvicorn", "gunicorn"),
    *settings.DEPLOYMENTS,
    *(name for slug, view in VARIANTS for name in (slug, view, f"/{slug}/{view}/")),
    *("before.json", "after.json", "reference.json", "advice"),
}


@pytest.fixture
def two_results(settings, tmp_path):
    """The reference run, and the same with half of its speeds."""
    before = json.loads(REFERENCE.read_text())
    before["environment"].pop("commit", None)
    later = copy.deepcopy(before)
    for row in later["measurements"]:
        row["throughput"] = {key: value and value / 2 for key, value in row["throughput"].items()}
    later["started"] = later["started"].replace("2026", "2027")
    (tmp_path / "before.json").write_text(json.dumps(before))
    (tmp_path / "after.json").write_text(json.dumps(later))
    settings.RESULTS_DIR = tmp_path


@pytest.mark.usefixtures("two_results")
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/no-such-page/", "/blocking-call/", "/many-waiting/", "/uploads/"),
        *("/changes/", "/changes/?show=speeds", "/history/", "/history/?comparison=overload"),
    ],
)
def test_all_that_a_page_says_is_marked_for_translation(client: Client, monkeypatch, path):
    mark_translated(monkeypatch)
    response = client.get(path, headers={"accept-language": "tr"})
    html = response.content.decode()
    assert "⟦Skip to the content⟧" in html
    assert unmarked(html, NAMES) == []


@pytest.mark.parametrize("slug", ["blocking-call", "many-waiting", "connections"])
def test_all_that_the_report_and_its_charts_say_is_marked(monkeypatch, slug):
    mark_translated(monkeypatch)
    monkeypatch.setattr(drawing, "inline", words_of)
    result = result_store.read(REFERENCE)
    section = report.section(result, "reference.json", slug, "tr")
    html = report.html(result, "reference.json", [section], "tr")
    assert "⟦One round, request by request⟧" in html
    assert unmarked(html, NAMES) == []


EVENTS = [
    {"event": "begun", "alone": 101.5},
    *({"event": "sent", "request": number, "at": 0.5} for number in range(4)),
    {"event": "ended", "request": 0, "at": 102.5, "status": 200, "by": "none", "view": [1, 102]},
    {"event": "ended", "request": 1, "at": 203.5, "status": 500, "view": [102, 203]},
    {"event": "ended", "request": 2, "at": 203.5, "status": None, "why": "left"},
    {"event": "bystander", "at": 10, "took": 193.5},
    {"event": "over", "at": 1234.5, "unanswered": 1},
]


@pytest.fixture
def burst_says(tmp_path, monkeypatch):
    """Set what the process says that fires a burst, of each variant."""

    def says(*events):
        program = tmp_path / "burst.py"
        lines = [json.dumps(event | {"variant": name}) for name in PAIR for event in events]
        program.write_text("".join(f"print({line!r})\n" for line in lines))
        monkeypatch.setattr(burst, "__file__", str(program))

    return says


@pytest.mark.parametrize(
    "events", [EVENTS, [{"event": "begun", "alone": None, "why": burst.TIME_WAS_UP}], []]
)
def test_all_that_a_burst_without_javascript_says_is_marked(
    client, burst_says, monkeypatch, events
):
    burst_says(*events)
    mark_translated(monkeypatch)
    response = client.post(
        "/blocking-call/try/", {"variant": PAIR}, headers={"accept": "text/html"}
    )
    html = b"".join(response).decode()
    assert "⟦As measured (async_blocking, async_native):⟧" in html
    assert unmarked(html, NAMES) == []


@pytest.mark.parametrize("form", [{}, {"variant": "no_such"}, {"variant": PAIR, "requests": "x"}])
def test_refusal_without_javascript_is_marked(client, monkeypatch, form):
    mark_translated(monkeypatch)
    response = client.post("/blocking-call/try/", form, headers={"accept": "text/html"})
    assert response.status_code == 400
    assert unmarked(response.content.decode(), NAMES) == []


@pytest.mark.parametrize(
    ("deployment", "slug"), [("wsgi-gevent", "blocking-call"), ("", "uploads")]
)
def test_why_nothing_can_be_tried_is_marked(client, settings, monkeypatch, deployment, slug):
    settings.DEPLOYMENT = deployment
    mark_translated(monkeypatch)
    form = {"variant": COMPARISONS[slug].variants[-1].name}
    response = client.post(f"/{slug}/try/", form, headers={"accept": "text/html"})
    assert response.status_code == 501
    assert unmarked(response.content.decode(), NAMES) == []


@pytest.mark.usefixtures("two_results")
@pytest.mark.parametrize("path", ["/", "/blocking-call/", "/changes/?show=speeds"])
def test_numbers_of_pictures_and_scripts_have_no_decimal_comma(client: Client, path):
    html = client.get(path, headers={"accept-language": "tr"}).content.decode()
    assert re.findall(r'[\w-]+="-?\d+,\d+"', html) == []


def test_text_that_nothing_marks_is_found():
    html = '<p aria-label="Here">⟦It is ⟦inside⟧ <code>of</code> it⟧</p><p>It is <b>not</b> 3.</p>'
    html += '<b lang="tr">Evet</b><b translate="no">sync</b>'
    assert unmarked(html) == ["Here", "It is not 3."]
