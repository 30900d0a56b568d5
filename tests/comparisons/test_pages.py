"""The pages: their structure with Django's test client, and one look with a real browser."""

import copy
import inspect
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.test import Client
from django.utils.html import strip_tags
from playwright.sync_api import Browser, sync_playwright

from comparisons.pages import source
from comparisons.pages import views as pages
from comparisons.pages.prose import prose
from comparisons.pairs import COMPARISONS, GROUPS, cpu_bound
from comparisons.questions import QUESTIONS
from comparisons.registry import Variant
from project.deployments import DATABASE_MODES
from project.wsgi import application

CHROMIUM_OPTIONS = (
    *("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
WIDTHS = (390, 1280)

MEASUREMENT = {
    "comparison": "cpu-bound",
    "variant": "async_blocking",
    "deployment": "asgi-uvicorn",
    "users": 4,
    "rounds": 5,
    "requests": 400,
    "failures": 0,
    "throughput": {"mean": 47.04, "low": 46.5, "high": 47.52},
    "latency_ms": {"p50": 85.1, "p95": 90.0, "p99": 1234.5, "max": 2000.0},
    "bystander_ms": {"p50": 40.0, "p99": 98.76, "max": 120.0},
    "server": {
        "processes": 1,
        "threads": 20,
        "cpu_seconds": 1.0,
        "rss_mb": 50.0,
        "db_connections": 7,
    },
    "ceiling": 50.0,
    "load_generator_cpu": 0.2,
    "valid": True,
    "invalid_because": [],
}
VERDICT = {
    "comparison": "cpu-bound",
    "expectation": "async_blocking bystander of work at least 1",
    "verdict": "holds",
    "measured": 2.345,
    "low": 2.1,
    "high": 2.6,
    "because": "5 rounds",
}
EXPECTED = {
    "expected": {
        **{"variant": "async_blocking", "metric": "bystander", "of": "work"},
        **{"low": 1, "high": None, "users": 4, "round_trip": 0},
        **{"text": "async_blocking bystander of work at least 1", "why": "Because it waits."},
    }
}
RESULT = {
    "schema": 1,
    "started": "2026-11-22T21:30:05Z",
    "finished": "2026-11-22T21:35:00Z",
    "environment": {
        "python": "3.13.9",
        "django": "6.1.3",
        "cpu_model": "Abacus 9000",
        "cpu_count": 64,
    },
    "measurements": [MEASUREMENT],
    "verdicts": [VERDICT],
}

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


def html_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def text_of(client: Client, url: str) -> str:
    """What a reader sees, with single spaces."""
    return " ".join(unescape(strip_tags(html_of(client, url))).split())


# --- The index


def test_index_lists_groups_and_titles_in_reading_order(client: Client) -> None:
    headings = re.findall(r"<h[23][^>]*>(.*?)</h", html_of(client, "/"))
    expected = [
        heading
        for group, modules in GROUPS.items()
        for heading in (group, *(module.comparison.title for module in modules))
    ]
    before = ["Results shown", "By question", *QUESTIONS]
    assert [unescape(strip_tags(heading)) for heading in headings] == [*before, *expected]


def test_index_links_every_answer_under_its_question(client: Client, save: Save) -> None:
    save()
    html = html_of(client, "/")
    html = html[html.index("By question") : html.index('<section class="group"')]
    for question, slugs in QUESTIONS.items():
        answers = html[html.index(question) :].split("<h3>")[0]
        assert re.findall(r'href="/([\w-]+)/"', answers) == slugs
    assert re.search(r'href="/cpu-bound/">[^<]*</a> <span class="signs">', html)


def test_page_says_what_is_asked_and_who_meets_the_pitfall(client: Client) -> None:
    html = html_of(client, "/connection-held/")
    said = [strip_tags(text) for text in re.findall(r"<dd>(.*?)</dd>", html, re.DOTALL)]
    assert "WSGI (wsgi-threads) and ASGI (asgi-uvicorn)" in said
    assert "Why do my connections run out?" in said


@pytest.mark.parametrize("slug", COMPARISONS)
def test_index_links_a_comparison_and_names_its_variants(client: Client, slug: str) -> None:
    html = html_of(client, "/")
    entries = html[html.index('<section class="group"') :]
    entry = entries[entries.index(f'href="/{slug}/"') :]
    entry = entry[: entry.index('<div class="outcome">')]
    named = re.findall(r"<li[^>]*><code>(\w+)</code>(.*?)</li>", entry, re.DOTALL)
    assert [(name, "pitfall" in mark) for name, mark in named] == [
        (variant.name, variant.pitfall) for variant in COMPARISONS[slug].variants
    ]


def test_index_without_results_says_how_to_get_them(client: Client) -> None:
    assert "None yet. python manage.py compare --quick" in text_of(client, "/")


def test_index_names_the_run_and_its_machine(client: Client, save: Save) -> None:
    save()
    text = text_of(client, "/")
    assert "22 November 2026, 21:30 UTC on Abacus 9000 (64 CPUs), Python 3.13.9, Django" in text
    assert "File: 2026-11-22T21-30-05Z.json" in text


def test_index_counts_verdicts(client: Client, save: Save) -> None:
    words = ("holds", "holds", "refuted", "inconclusive", "invalid")
    save(verdicts=[VERDICT | {"verdict": word} for word in words])
    assert "✓ 2 held ✗ 1 refuted ? 1 inconclusive – 1 invalid" in text_of(client, "/")


def test_index_tells_measured_without_verdicts_from_not_measured(
    client: Client, save: Save
) -> None:
    save(verdicts=[])
    text = text_of(client, "/")
    assert text.count("Measured, no verdicts") == 1
    assert text.count("Not measured yet") == len(COMPARISONS) - 1


def test_index_names_the_older_file_where_the_newest_has_no_result(
    client: Client, save: Save
) -> None:
    save("2026-11-22T21-30-05Z.json", {"comparison": "blocking-call"}, verdicts=[])
    save("2026-11-20T21-30-05Z.json", started="2026-11-20T21:30:05Z")
    text = text_of(client, "/")
    assert "File: 2026-11-22T21-30-05Z.json" in text
    assert text.count("from 2026-11-20T21-30-05Z.json") == 1


# --- A comparison's page: the pair


@pytest.mark.parametrize("slug", COMPARISONS)
def test_page_shows_lesson_and_every_view_with_its_place(client: Client, slug: str) -> None:
    comparison = COMPARISONS[slug]
    html = html_of(client, f"/{slug}/")
    assert re.findall(r"<dt>(\w+)</dt>", html) == ["Claim", "Blocks", "Instead"]
    lines = Path(comparison.module.__file__).read_text().splitlines()
    for variant in comparison.variants:
        card = html[html.index(f'id="{variant.name}"') :]
        card = card[: card.index("</article>")]
        assert variant.deployment in card
        assert ("pitfall-mark" in card) == variant.pitfall
        if variant.app:
            continue
        assert f'href="/{slug}/{variant.name}/"' in card
        path, number = re.findall(r"(comparisons/\S+\.py):(\d+)", card)[0]
        assert comparison.module.__file__.endswith(path)
        first = next(line for line in lines[int(number) - 1 :] if not line.startswith("@"))
        assert f"def {variant.view.__name__}(request: HttpRequest) -> " in first


WITH_APP = [
    (slug, variant)
    for slug, comparison in COMPARISONS.items()
    for variant in comparison.variants
    if variant.app
]


@pytest.mark.parametrize(
    ("slug", "variant"), WITH_APP, ids=lambda value: getattr(value, "name", value)
)
def test_page_shows_what_another_application_serves_and_offers_no_link(
    client: Client, slug: str, variant: Variant
) -> None:
    html = html_of(client, f"/{slug}/")
    card = html[html.index(f'id="{variant.name}"') :]
    card = card[: card.index("</article>")]
    assert "no view of Django" in card
    assert f"manage.py serve {slug}/{variant.name}</code>" in card
    assert f"with {variant.app} in place of Django" in card
    assert "href" not in card
    path, number = re.findall(r"(comparisons/\S+\.py):(\d+)", card)[0]
    line = (pages.settings.BASE_DIR / path).read_text().splitlines()[int(number) - 1]
    assert line.startswith(f"async def {variant.view.__name__}(")


def test_shared_source_ends_where_the_last_view_of_the_file_does() -> None:
    """Whatever views of other files the pair declares below."""
    shared = source.shared_source(COMPARISONS["request-path"])
    assert "comparison = " not in shared
    assert "THREADLESS" not in shared


def test_page_shows_the_source_as_it_is_in_the_file(client: Client) -> None:
    source = (
        "async def async_blocking(request: HttpRequest) -> JsonResponse:\n"
        '    return JsonResponse({"fib": fib(N)})'
    )
    assert source in unescape(strip_tags(html_of(client, "/cpu-bound/")))


def test_page_makes_the_line_of_the_pitfall_stand_out(client: Client) -> None:
    marked = re.findall(r'<span class="hll">(.*?)\n</span>', html_of(client, "/cpu-bound/"))
    assert len(marked) == 1
    assert "# pitfall" in marked[0]


def test_shared_source_is_what_is_neither_import_nor_view_nor_declaration() -> None:
    shared = source.shared_source(cpu_bound.comparison)
    assert re.findall(r"^\w.*", shared, re.MULTILINE) == ["N = 26", "def fib(n: int) -> int:"]


def test_variant_of_a_shown_view_says_how_it_is_served_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "reverse", lambda name: f"/{name}/")
    environ = {"POOL_SIZE": "1", "SHARED_THREAD": "1"}
    one = Variant(cpu_bound.sync, "wsgi-threads", name="sync_one", environ=environ)
    shape = {"name": "sync_two", "workers": 2, "threads": 3, "database": "pool"}
    two = Variant(cpu_bound.sync, "asgi-uvicorn", environ={"POOL_SIZE": "5"}, **shape)
    assert source.served_by(two) == (
        "uvicorn; with 2 processes; with 3 threads; with Django's pool of connections"
        " to Postgres; with POOL_SIZE=5"
    )
    assert source.difference(two, one) == (
        "on asgi-uvicorn, with 2 processes, with 3 threads, with Django's pool of connections to"
        " Postgres, with POOL_SIZE=5, without SHARED_THREAD=1"
    )
    assert source.difference(one, one) == ""
    on_a_loop = Variant(cpu_bound.sync, "asgi-uvicorn", name="sync_on_a_loop")
    assert source.difference(on_a_loop, two) == "with 1 process, without POOL_SIZE=5"
    greenlets = Variant(cpu_bound.sync, "wsgi-gevent", name="sync_greenlets")
    assert source.difference(greenlets, two) == (
        "on wsgi-gevent, with 1 process, without a limit of threads, without POOL_SIZE=5"
    )


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["some.module.one"], "some.module.one"),
        (["some.module.one", "other.two"], "one, two"),
        (settings.STARTPROJECTS_MIDDLEWARE, "startproject's seven"),
    ],
)
def test_list_of_middleware_is_said_in_few_words(paths: list[str], said: str) -> None:
    environ = {"EXTRA_MIDDLEWARE": ",".join(paths)}
    variant = Variant(cpu_bound.sync, "wsgi-threads", environ=environ)
    assert source.own_shape(variant) == [f"with EXTRA_MIDDLEWARE={said}"]


def test_variant_that_connects_as_its_deployment_does_says_how() -> None:
    new = Variant(cpu_bound.sync, "wsgi-threads", name="sync_new", database="none")
    kept = Variant(cpu_bound.sync, "wsgi-threads", name="sync_kept")
    assert source.difference(kept, new) == "with a kept connection to Postgres for each thread"
    assert source.difference(new, kept) == "connecting to Postgres for each request"


@pytest.mark.parametrize("mode", DATABASE_MODES)
def test_every_way_to_connect_is_said_in_words(mode: str) -> None:
    assert source.CONNECTING[mode]


@pytest.mark.parametrize("slug", COMPARISONS)
def test_view_shown_once_refers_to_the_first_variant_and_tells_the_difference(
    client: Client, slug: str
) -> None:
    shown = source.shown_views(COMPARISONS[slug])
    text = text_of(client, f"/{slug}/")
    first = {view.variant.view: view.variant.name for view in reversed(shown)}
    for view in shown:
        alone = first[view.variant.view] == view.variant.name
        assert view.same_as == (None if alone else first[view.variant.view])
        assert bool(view.served_differently) is not alone
        assert alone or f"The same view as {view.same_as}, {view.served_differently}." in text


def test_pitfall_of_a_declaration_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a_pair.py"
    file.write_text(PAIR)
    spec = spec_from_file_location("a_pair", file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "a_pair", module)
    spec.loader.exec_module(module)
    found = [source.declared_pitfall(variant) for variant in module.variants]
    assert found == ["every request connects", "", "on the last line"]


PAIR = """
from comparisons.registry import Variant
from project.deployments import DATABASE_MODES


def sync(request):
    raise NotImplementedError


variants = [
    Variant(  # pitfall: every request connects
        sync, "wsgi-threads", name="sync_none"
    ),
    Variant(sync, "wsgi-threads", name="sync_pool"),
    Variant(sync, "wsgi-threads", name="sync_other"),  # pitfall: on the last line
]
"""


@pytest.mark.parametrize("slug", COMPARISONS)
def test_page_names_the_recipe_where_views_call_what_it_explains(client: Client, slug: str) -> None:
    called = set(re.findall(r"async_(?:upstream|redis|pool|cpu_service)\b", source_of(slug)))
    assert set(source.recipes(COMPARISONS[slug])) == called
    assert ("copy comparisons/recipe.py" in text_of(client, f"/{slug}/")) is bool(called)


def source_of(slug: str) -> str:
    return Path(COMPARISONS[slug].module.__file__).read_text()


@pytest.mark.parametrize("helper", source.FROM_RECIPE)
def test_helper_of_views_says_where_the_recipe_is(helper: Callable[[], Any]) -> None:
    assert "comparisons/recipe.py" in inspect.getsource(helper)


def test_backticks_become_code_and_html_stays_text() -> None:
    assert prose("the `a < b` & so") == "The <code>a &lt; b</code> &amp; so"


def test_pages_lead_from_the_first_comparison_to_the_last_and_back(client: Client) -> None:
    slugs = list(COMPARISONS)
    for rel, order in (("next", slugs), ("prev", slugs[::-1])):
        found, url = [order[0]], f"/{order[0]}/"
        while link := re.search(rf'rel="{rel}" href="/([\w-]+)/"', html_of(client, url)):
            found.append(link[1])
            url = f"/{link[1]}/"
        assert found == order


def test_unknown_comparison_is_not_found(client: Client) -> None:
    response = client.get("/no-such-thing/")
    assert response.status_code == 404
    assert "No such page" in response.content.decode()


# --- A comparison's page: the result


def test_page_without_result_names_the_command_that_makes_one(client: Client) -> None:
    assert "Not measured yet: python manage.py compare cpu-bound" in text_of(client, "/cpu-bound/")


def test_page_shows_a_measurement_as_a_row(client: Client, save: Save) -> None:
    save()
    text = text_of(client, "/cpu-bound/")
    assert "4 users, 5 rounds" in text
    figures = "1 × 20 47 46.5–47.5 – 94 % 85.1 1234 40 98.8 7"
    assert f"async_blocking ⚠\ufe0e pitfall asgi-uvicorn {figures}" in text


NO_BYSTANDER = {"p50": None, "p99": None, "max": None, "longest": None}


@pytest.mark.parametrize(
    "measurement",
    [{}, {"waiting": True}, {"bystander_ms": NO_BYSTANDER}],
    ids=["served", "waiting", "alone"],
)
def test_every_column_of_figures_is_explained(
    client: Client, save: Save, measurement: dict[str, Any]
) -> None:
    save(measurement=measurement)
    html = html_of(client, "/cpu-bound/")
    columns = re.findall(r'<th scope="col" class="number">(.*?)</th>', html)
    explained = ", ".join(re.findall(r"<dt>(.*?)</dt>", html[html.index("</table>") :]))
    assert len(columns) > 7
    for column in columns:
        assert column.removesuffix(" ms") in explained, column


def test_failed_answers_stand_beside_what_was_served(client: Client, save: Save) -> None:
    save(measurement={"requests": 50, "failures": 36})
    assert "47 46.5–47.5 72 % 94 %" in text_of(client, "/cpu-bound/")


def test_growing_backlog_stands_in_place_of_a_latency(client: Client, save: Save) -> None:
    nothing = {"p50": None, "p95": None, "p99": None, "max": None}
    save(measurement={"backlog_growth": 20.4, "latency_ms": nothing})
    assert "94 % backlog grows by 20.4/s – 40" in text_of(client, "/cpu-bound/")


def test_shape_is_the_one_asked_for_where_the_file_has_it(client: Client, save: Save) -> None:
    save(measurement={"workers": 3, "worker_threads": 0})
    assert "asgi-uvicorn 3 × ∞ 47" in text_of(client, "/cpu-bound/")


def test_rows_state_their_load_where_it_differs(client: Client, save: Save) -> None:
    save(measurements=[MEASUREMENT, MEASUREMENT | {"users": 1000, "round_trip": 5}])
    text = text_of(client, "/cpu-bound/")
    assert "asgi-uvicorn 4 users 1 × 20" in text
    assert "asgi-uvicorn 1,000 users, 5 ms round trip 1 × 20" in text


@pytest.mark.parametrize(
    ("rounds", "said"), [([1, 1], "1 round."), ([4, 4], "4 rounds."), ([4, 8], "4 to 8 rounds.")]
)
def test_page_counts_rounds_in_good_english(
    client: Client, save: Save, rounds: list[int], said: str
) -> None:
    save(measurements=[MEASUREMENT | {"rounds": number} for number in rounds])
    assert f"4 users, {said}" in text_of(client, "/cpu-bound/")


def test_invalid_measurement_says_why(client: Client, save: Save) -> None:
    save(
        measurement={
            "throughput": {"mean": None, "low": None, "high": None},
            "latency_ms": None,
            "ceiling": None,
            "valid": False,
            "invalid_because": ["the server died", "3 answers had another body"],
        }
    )
    text = text_of(client, "/cpu-bound/")
    assert "1 × 20 – no interval – – – – 40 98.8 7" in text
    assert "– invalid the server died; 3 answers had another body" in text


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            {},
            "✓ holds a bystander of async_blocking waits 2.35 times a request's CPU work"
            " (at least 1 expected; 95 % sure of 2.1 to 2.6) Because it waits. (5 rounds)"
            " bystander ",
        ),
        ({"verdict": "refuted"}, "✗ refuted a bystander of async_blocking waits 2.35 times"),
        (
            {"verdict": "inconclusive", "open_because": "about 3 more rounds like these"},
            "to decide it takes about 3 more rounds like these)",
        ),
        (
            {"verdict": "invalid", "measured": None, "low": None, "high": None, "because": "died"},
            "– invalid not measured: a bystander of async_blocking waits at least 100 % of a"
            " request's CPU work: died",
        ),
        (
            {"expected": None},
            "async_blocking bystander of work at least 1: 2.35 (2.1–2.6; 5 rounds)",
        ),
    ],
)
def test_verdict_is_a_line(client: Client, save: Save, verdict: dict[str, Any], line: str) -> None:
    save(verdict=EXPECTED | verdict)
    assert line in text_of(client, "/cpu-bound/")


def test_reason_of_a_verdict_has_code_and_no_other_markup(client: Client, save: Save) -> None:
    why = {"expected": EXPECTED["expected"] | {"why": "See `cpu-offload` <b>."}}
    save(verdict=EXPECTED | why)
    assert "See <code>cpu-offload</code> &lt;b&gt;." in html_of(client, "/cpu-bound/")


def test_what_a_result_file_says_is_text_and_no_markup(client: Client, save: Save) -> None:
    bad = "<script>alert(1)</script>"
    save(
        measurement={"variant": bad, "valid": False, "invalid_because": [bad]},
        verdict={"because": bad, "expectation": bad},
        environment=RESULT["environment"] | {"cpu_model": bad},
    )
    for url in ("/", "/cpu-bound/"):
        assert bad not in html_of(client, url)


# --- Which file


def shown_file(client: Client) -> str:
    return re.findall(r"File: (\S+)", text_of(client, "/cpu-bound/"))[0]


def test_newest_file_is_shown_then_one_of_another_name_then_the_reference(
    client: Client, save: Save, results: Path
) -> None:
    names = ["2026-11-22T21-30-05Z.json", "2025-01-01T00-00-00Z.json", "mine.json"]
    for name in (*names, "reference.json"):
        save(name)
    for name in (*names, "reference.json"):
        assert shown_file(client) == name
        (results / name).unlink()


def test_run_without_this_comparison_is_passed_over(client: Client, save: Save) -> None:
    save("2026-11-23T00-00-00Z.json", {"comparison": "blocking-call"})
    save("2026-11-22T00-00-00Z.json")
    assert shown_file(client) == "2026-11-22T00-00-00Z.json"


def test_file_of_a_run_that_has_measured_nothing_yet_is_passed_over(
    client: Client, save: Save, results: Path
) -> None:
    save()
    (results / "2026-11-23T00-00-00Z.json").touch()
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"
    assert "Skipped" not in text_of(client, "/cpu-bound/")


def test_where_requests_only_wait_threads_and_memory_are_shown_and_no_rate(
    client: Client, save: Save
) -> None:
    server = MEASUREMENT["server"] | {"threads": 1002, "rss_mb": 95.0, "idle_mb": 57.0}
    save(measurement={"waiting": True, "users": 1000, "server": server})
    text = text_of(client, "/cpu-bound/")
    assert "kB a request" in text
    assert "1,002 38" in text
    assert "Requests/s" not in text


def test_where_there_is_no_bystander_cpu_time_and_threads_are_shown(
    client: Client, save: Save
) -> None:
    server = MEASUREMENT["server"] | {"threads": 1002, "cpu_ms_per_request": 0.115}
    save(measurement={"bystander_ms": NO_BYSTANDER, "server": server})
    text = text_of(client, "/cpu-bound/")
    assert "0.115 1,002" in text
    assert "Bystander" not in text


def test_run_of_variants_against_themselves_is_no_result(client: Client, save: Save) -> None:
    save("2026-11-23T00-00-00Z.json", options={"null": True})
    save()
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in RESULT.items() if name != key}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '"text"',
        "\0",
        "[" * 100_000,
        json.dumps(RESULT | {"schema": 2}),
        *(json.dumps(without(key)) for key in ("schema", "environment", "measurements")),
        json.dumps(RESULT | {"started": 5}),
        json.dumps(RESULT | {"started": "yesterday"}),
        json.dumps(RESULT | {"environment": []}),
        json.dumps(RESULT | {"options": 3}),
        json.dumps(RESULT | {"measurements": None}),
        json.dumps(RESULT | {"measurements": ["x"]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"comparison": ["cpu-bound"]}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"throughput": {"mean": 1}}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"ceiling": "high"}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"ceiling": 10**400}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"rounds": None}]}),
        json.dumps(RESULT | {"measurements": [{"comparison": "cpu-bound"}]}),
        json.dumps(RESULT | {"verdicts": [VERDICT | {"verdict": "maybe"}]}),
        json.dumps(RESULT | {"verdicts": [VERDICT | {"verdict": []}]}),
    ],
    ids=lambda content: content[:40],
)
def test_broken_file_is_named_and_an_older_one_shown(
    client: Client, save: Save, results: Path, content: str
) -> None:
    save()
    (results / "2026-11-23T00-00-00Z.json").write_text(content)
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"
    for url in ("/", "/cpu-bound/"):
        assert "Skipped 2026-11-23T00-00-00Z.json: not a result file" in text_of(client, url)


def test_unreadable_file_is_named(client: Client, save: Save, results: Path) -> None:
    (results / "2026-11-23T00-00-00Z.json").mkdir()
    assert "Skipped 2026-11-23T00-00-00Z.json" in text_of(client, "/")


def test_missing_folder_is_no_result(client: Client, settings: LazySettings) -> None:
    settings.RESULTS_DIR = settings.RESULTS_DIR / "nowhere"
    assert "None yet" in text_of(client, "/")


# --- Every page


@pytest.mark.parametrize("url", ["/", *(f"/{slug}/" for slug in COMPARISONS)])
def test_page_has_nothing_inline_and_nothing_from_elsewhere(client: Client, url: str) -> None:
    assert client.get(url)["Content-Security-Policy"] == "default-src 'self'"
    html = html_of(client, url)
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|//\w", html)


def test_everything_that_a_page_loads_is_served(client: Client) -> None:
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', html_of(client, "/cpu-bound/"))
    assert len(loaded) == 4  # icon, style sheets, script
    for url in loaded:
        response = client.get(url)
        assert response.status_code == 200
        response.close()


# --- In a browser


@pytest.fixture
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


@pytest.fixture
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", WIDTHS)
def test_browser_goes_from_the_index_to_a_comparison(
    browser: Browser, address: str, save: Save, width: int
) -> None:
    save(measurement={"valid": False, "invalid_because": ["why " * 40]})
    page = browser.new_page(viewport={"width": width, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".entries").get_by_role("link", name=cpu_bound.comparison.title).click()
    page.get_by_role("heading", name=cpu_bound.comparison.title).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


@pytest.mark.needs("chromium")
def test_line_after_the_pitfall_stands_under_it(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/blocking-call/")
    pitfall = page.locator(".hll").first
    after = pitfall.locator("xpath=following-sibling::*").first
    mine, under = pitfall.bounding_box(), after.bounding_box()
    assert mine is not None
    assert under is not None
    assert under["y"] >= mine["y"] + mine["height"] - 1
    assert under["x"] < mine["x"] + 100


@pytest.mark.needs("chromium")
def test_no_page_is_wider_than_a_telephone(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": 800})
    too_wide = []
    for slug in COMPARISONS:
        page.goto(f"{address}/{slug}/", wait_until="domcontentloaded")
        if page.evaluate("document.documentElement.scrollWidth") > WIDTHS[0]:
            too_wide.append(slug)
    assert too_wide == []


def test_reason_of_a_pitfall_is_one_element_with_its_mark(client: Client) -> None:
    """A text of its own would be torn from it where the head of the card breaks its line."""
    html = html_of(client, "/request-path/")
    assert re.search(
        r"<span><span [^\n]+ pitfall</span>\s*– one more hop, for the view</span>", html
    )


def test_page_of_views_that_share_nothing_shows_no_empty_box(client):
    assert source.shared_source(COMPARISONS["request-path"]) == ""
    assert "Shared by the views" not in client.get("/request-path/").content.decode()
    assert "Shared by the views" in client.get("/orm-in-async/").content.decode()
