"""The page of what `advise` found, its report, and what other pages make of such a file."""

import json
from dataclasses import asdict, replace

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.html import escape

from comparisons import result_store
from comparisons.advice import Advice
from comparisons.pages import drawing
from tests.support.advice import ASGI_ONLY, BLOCKED_ASYNC, CASES, SYNC, result_of
from tests.support.results import html_of, text_in, text_of
from tests.support.untranslated import mark_translated, unmarked, words_of

NAME = "2026-11-27T07-11-34Z.json"
URL = f"/advice/?result={NAME}"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def save(results):
    """Writes a result file of `advise`."""

    def save(advice: Advice, name: str = NAME, **options: bool) -> None:
        result_store.write(results / name, result_of(advice, **options))

    return save


# --- What there is


def test_recommendation_comes_first_and_can_be_copied(client: Client, save):
    save(SYNC)
    html = html_of(client, URL)
    text = text_in(html)
    command = "gunicorn shop.wsgi:application --worker-class gthread --workers 2 --threads 12"
    assert f"Copy {command} " in text
    assert escape('DATABASES["default"]["CONN_MAX_AGE"] = None') in html
    assert html.count('class="copy"') == 2
    assert "9.16 times as many requests as what runs now (95 % sure of 6.92 to 12.1)" in text
    assert "No difference to the formula, within 5 %" in text
    assert text.index("What to run") < text.index("What holds the event loop")


def test_head_says_what_was_measured_and_how(client: Client, save):
    save(BLOCKED_ASYNC)
    text = text_of(client, URL)
    for said in (
        *("planted", "shop.settings in /home/me/planted", "Django 5.2.19", "20 users at once"),
        *("GET /orders/ (75 %)", "database default: PostgreSQL, shop on localhost:5432"),
        *("DEBUG = False, as where you deploy it", "Abacus 9000"),
    ):
        assert said in text


def test_line_that_holds_the_loop_has_its_place_code_and_who_waited(client: Client, save):
    save(BLOCKED_ASYNC)
    text = text_of(client, URL)
    held = text.partition("What holds the event loop")[2].partition("What a request")[0]
    assert (
        "shop/prices.py:31 holds the event loop for 40.2 ms a request;"
        " 17 other requests waited, on average requests.get(url)"
    ) in held
    assert "at work in the end: time.sleep" in held
    assert "await rates()" not in held


def test_clean_views_are_said_to_hold_nothing(client: Client, save):
    save(SYNC)
    assert "What holds the event loop Nothing that was seen." in text_of(client, URL)
    save(replace(SYNC, profiles=SYNC.profiles[:1]))
    assert "no request was sent to a server with an event loop" in text_of(client, URL)


def test_hops_say_which_middleware_makes_them(client: Client, save):
    save(SYNC)
    text = text_of(client, URL)
    assert "It goes to a thread and back 4 times:" in text
    assert "2 for shop.middleware.Audit (shop/middleware.py:12)" in text
    assert "It goes to an event loop and back 1 time: 1 for shop.views.total" in text


def test_sync_middleware_and_what_was_left_out_are_said(client: Client, save):
    sync_only = ("shop.middleware.Old (shop/middleware.py:3)",)
    save(replace(SYNC, sync_only=sync_only, remarks=(f"left out under WSGI: {HOSTILE}",)))
    html = html_of(client, URL)
    assert "shop.middleware.Old (shop/middleware.py:3) takes sync requests only" in text_in(html)
    assert f"left out under WSGI: {escape(HOSTILE)}" in html


def test_candidates_say_why_and_what_was_measured(client: Client, save):
    save(SYNC)
    text = text_of(client, URL)
    assert "The same, and each thread keeps its connection: a request makes 2 queries" in text
    assert "threads_kept recommended" in text
    assert "120 requests/s 114–126 what runs now × 2.3" in text


def test_charts_are_of_a_request_of_candidates_and_of_saturation(client: Client, save):
    save(SYNC)
    html = html_of(client, URL)
    for name in ("request", "throughput", "bystander", "saturation", "slowest"):
        assert html.count(f'data-chart="{name}"') == 1
        svg = client.get(f"/charts/{NAME}/advice/{name}.svg")
        assert svg.status_code == 200
        assert svg["Content-Type"] == "image/svg+xml"
    drawn = client.get(f"/charts/{NAME}/advice/saturation.svg").content.decode()
    assert "ring: the knee" in drawn
    assert "requests/s" in drawn


def test_saturation_says_what_gives_first(client: Client, save):
    save(SYNC)
    text = text_of(client, URL)
    assert "from 16 users on more of them only wait longer: its threads are all busy" in text
    assert "Every step: what runs now" in text


def test_what_would_change_the_answer_is_said(client: Client, save):
    save(SYNC)
    text = text_of(client, URL)
    assert "An event loop begins to serve more at 340 users (now 20)." in text
    assert "Computed, not measured" in text


# --- What there is not


@pytest.mark.parametrize(
    ("advice", "said"),
    [
        (replace(SYNC, sweeps=()), "Up to saturation Not measured."),
        (replace(SYNC, profiles=()), "Not looked at: what a locustfile does"),
        (replace(SYNC, choices=()), "None of the candidates was measured well enough"),
        (replace(ASGI_ONLY, profiles=(), candidates=(), choices=(), sweeps=()), "planted"),
    ],
)
def test_what_is_missing_is_said(client: Client, save, advice, said):
    save(advice)
    assert said in text_of(client, URL)


def test_sweep_of_one_step_has_no_chart(client: Client, save):
    one = SYNC.sweeps[0]
    save(replace(SYNC, sweeps=(replace(one, steps=one.steps[:1]), replace(one, steps=()))))
    html = html_of(client, URL)
    assert 'data-chart="saturation"' not in html
    assert "could not be swept" in html


def test_quick_run_says_why_it_has_no_sweep(client: Client, save):
    save(replace(SYNC, sweeps=()), quick=True)
    assert "Not measured: --quick leaves it out." in text_of(client, URL)


def test_candidate_without_rounds_is_not_measured(client: Client, save, results):
    save(SYNC)
    content = json.loads((results / NAME).read_text())
    content["measurements"][0] |= {"valid": False, "invalid_because": ["2 rounds only"]}
    content["measurements"] = content["measurements"][:3]
    (results / NAME).write_text(json.dumps(content))
    text = text_of(client, URL)
    assert "not measured well enough" in text
    assert "a core each. uvicorn shop.asgi:application --workers 2 not measured" in text


# --- Which file


def test_without_a_name_the_newest_is_shown_and_the_others_are_offered(client: Client, save):
    assert "python manage.py advise --project DIR" in text_of(client, "/advice/")
    save(SYNC, "2026-11-26T00-00-00Z.json")
    save(replace(SYNC, project="newer"))
    html = html_of(client, "/advice/")
    assert '<h1 translate="no">newer</h1>' in html
    assert 'href="/advice/?result=2026-11-26T00-00-00Z.json"' in html


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.json", None, "there is no result file 'none.json' here"),
        ("../advice.json", None, "there is no result file '../advice.json' here"),
        ("broken.json", "{", "broken.json: not a result file"),
        ("other.json", "reference", "other.json is no result of manage.py advise"),
        ("wrong.json", "wrong", "wrong.json: not a result file: 'many' is no int"),
    ],
)
def test_wrong_file_is_one_line(client: Client, results, name, content, said):
    made = result_of(SYNC).as_content()
    contents = {
        "reference": json.dumps(made | {"advice": None}),
        "wrong": json.dumps(made | {"advice": made["advice"] | {"users": "many"}}),
    }
    if content:
        (results / name).write_text(contents.get(content, content))
    response = client.get("/advice/", {"result": name})
    assert response.status_code == 404
    assert response.content.decode().startswith(said)
    assert response.content.count(b"\n") == 1


# --- Hostile


def test_nothing_that_a_file_says_becomes_markup(client: Client, results):
    def hostile(found):
        if isinstance(found, dict):
            return {
                key: one
                if key in ("kind", "interface", "to", "outcome", "over", "name", "candidate")
                else hostile(one)
                for key, one in found.items()
            }
        if isinstance(found, list | tuple):
            return [hostile(one) for one in found]
        return HOSTILE if isinstance(found, str) else found

    content = result_of(BLOCKED_ASYNC).as_content()
    content["advice"] = hostile(asdict(BLOCKED_ASYNC))
    content["advice"]["asks"] = {HOSTILE: 1.0}
    content["advice"]["versions"] = {HOSTILE: HOSTILE}
    for choice in content["advice"]["choices"]:
        choice["base"] = HOSTILE
    (results / NAME).write_text(json.dumps(content))
    html = html_of(client, URL)
    assert HOSTILE not in html
    assert html.count(escape(HOSTILE)) > 20
    assert client.get(f"/charts/{NAME}/advice/request.svg").status_code == 200


def test_sweep_that_gives_first_what_nobody_knows_is_shown(client: Client, save):
    save(replace(SYNC, sweeps=(replace(SYNC.sweeps[0], gives_first="<b>"),)))
    assert "only wait longer" in text_of(client, URL)


# --- Other pages


def test_index_offers_it_and_choosing_it_leads_there(client: Client, save):
    save(SYNC)
    html = html_of(client, "/")
    assert f'<a href="{URL}"><span translate="no">planted</span>' in html
    assert client.get("/", {"result": NAME}).headers["Location"] == URL


def test_page_of_a_comparison_says_what_the_file_is(client: Client, save):
    save(SYNC)
    text = text_of(client, f"/blocking-call/?result={NAME}")
    assert f"{NAME} is what manage.py advise found of planted, and of no comparison here" in text
    assert "Not measured yet" not in text


def test_history_and_changes_know_it_by_what_its_run_declared(client: Client, save):
    save(SYNC, "2026-11-26T00-00-00Z.json")
    save(SYNC)
    save(replace(SYNC, project="other", folder="/other"), "2026-11-25T00-00-00Z.json")
    for url in ("/history/", "/history/?comparison=advice"):
        history = text_of(client, url)
        assert "planted: The reader's own requests" in history
        assert "other: The reader's own requests" in history
    assert "Expectations" in html_of(client, "/changes/")


def test_history_shows_runs_of_advise_by_themselves(client: Client, save, results):
    save(SYNC)
    verdict = replace(result_of(SYNC).verdicts[0], comparison="cpu-bound")
    plain = replace(result_of(SYNC), advice=None, verdicts=[verdict])
    result_store.write(results / "plain.json", plain)
    assert "planted" not in text_of(client, "/history/")
    history = text_of(client, "/history/?comparison=advice")
    assert "planted: The reader's own requests" in history
    assert "plain.json" not in history


@pytest.mark.parametrize("query", ["", f"?after={NAME}"])
def test_newest_two_of_one_project_are_compared(client: Client, save, query):
    save(replace(SYNC, folder="/other"), "2026-11-28T00-00-00Z.json")
    save(SYNC)
    save(replace(SYNC, folder="/other/2"), "2026-11-26T00-00-00Z.json")
    save(SYNC, "2026-11-25T00-00-00Z.json")
    html = html_of(client, f"/changes/{query}")
    for name in ("2026-11-25T00-00-00Z.json", NAME):
        assert f"<option selected>{name}</option>" in html


# --- The report


@pytest.mark.parametrize("advice", CASES.values(), ids=CASES)
def test_report_is_one_file_with_all_that_the_page_has(results, save, capsys, advice):
    save(advice)
    call_command("report", str(results / NAME))
    assert "advice on planted" in capsys.readouterr().out
    html = (results / NAME).with_suffix(".html").read_text()
    text = text_in(html)
    assert "What to run" in text
    assert '<h1 translate="no">planted</h1>' in html
    assert 'data-chart="request"' in html
    assert "<svg" in html
    assert not [word for word in ("<script", "<img", "<link", 'src="', "<button") if word in html]
    assert html.count("<h1") == 1
    assert "None was measured" not in text


# --- Languages

NAMES = {
    *("WSGI", "ASGI", "UTC", "ms", "p50", "p99", "MB", "Python", "Django", "gunicorn"),
    *("GET", "/orders/", "/report/", "shop.views.total", "shop.middleware.Audit", "Abacus"),
    *("pool", "now", "formula", "threads_kept", "loops", "wsgi-threads", "asgi-workers"),
    *("wsgi-sync", "planted", NAME, "planted:"),
}


@pytest.mark.parametrize("advice", CASES.values(), ids=CASES)
def test_all_that_the_page_and_its_charts_say_is_marked(
    client: Client, save, results, monkeypatch, advice
):
    save(advice)
    mark_translated(monkeypatch)
    html = client.get(URL, headers={"accept-language": "tr"}).content.decode()
    assert "⟦What to run⟧" in html
    assert unmarked(html, NAMES) == []
    monkeypatch.setattr(drawing, "inline", words_of)
    call_command("report", str(results / NAME), "--language", "tr")
    assert unmarked((results / NAME).with_suffix(".html").read_text(), NAMES) == []


def test_all_that_other_pages_say_of_it_is_marked(client: Client, save, monkeypatch):
    save(SYNC)
    mark_translated(monkeypatch)
    for url in ("/", f"/blocking-call/?result={NAME}", "/history/"):
        html = client.get(url, headers={"accept-language": "tr"}).content.decode()
        of_it = [line for line in unmarked(html, NAMES) if "planted" in line or "advise" in line]
        assert of_it == []


def test_turkish_page_has_turkish_figures(client: Client, save):
    save(SYNC)
    html = client.get(URL, headers={"accept-language": "tr"}).content.decode()
    text = text_in(html)
    assert "9,16" in text
    assert "47,4" in text
    assert "(47.4" not in text
