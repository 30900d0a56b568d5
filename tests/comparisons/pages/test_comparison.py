"""A comparison's page."""

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Callable
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils.html import strip_tags

from comparisons import refuted
from comparisons.pages import source
from comparisons.pages.prose import prose
from comparisons.pairs import COMPARISONS, cpu_bound
from comparisons.registry import Variant
from project.deployments import DATABASE_MODES
from tests.comparisons.pages.conftest import Save
from tests.support.results import (
    EXPECTED,
    HOLD,
    MEASUREMENT,
    RESULT,
    empty_page,
    html_of,
    text_in,
    text_of,
)

# --- A comparison's page: the pair


def test_page_says_what_is_asked_and_who_meets_the_pitfall(client: Client) -> None:
    html = html_of(client, "/connection-held/")
    said = [strip_tags(text) for text in re.findall(r"<dd>(.*?)</dd>", html, re.DOTALL)]
    assert "WSGI (wsgi-threads) and ASGI (asgi-uvicorn)" in said
    assert "Why do my connections run out?" in said


def details_of(html: str, name: str) -> str:
    card = html[html.index('<details class="variant') :]
    card = card[card.index(f'id="{name}"') :]
    return card[: card.index("</details>")]


@pytest.mark.parametrize("slug", COMPARISONS)
def test_page_shows_lesson_and_every_view_with_its_place(client: Client, slug: str) -> None:
    comparison = COMPARISONS[slug]
    html = empty_page(f"/{slug}/")
    assert re.findall(r"<dt>(\w+)</dt>", html)[:3] == ["Claim", "Blocks", "Instead"]
    lines = Path(comparison.module.__file__).read_text().splitlines()
    for variant in comparison.variants:
        card = details_of(html, variant.name)
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
def test_page_shows_what_another_application_serves_and_links_nothing(
    client: Client, slug: str, variant: Variant
) -> None:
    card = details_of(empty_page(f"/{slug}/"), variant.name)
    assert "no view of Django" in card
    assert f"manage.py serve {slug}/{variant.name}</code>" in card
    assert f"with {variant.app} in place of Django" in card
    assert "href" not in card
    path, number = re.findall(r"(comparisons/\S+\.py):(\d+)", card)[0]
    line = (settings.BASE_DIR / path).read_text().splitlines()[int(number) - 1]
    assert line.startswith(f"async def {variant.view.__name__}(")


def test_page_shows_the_source_as_it_is_in_the_file(client: Client) -> None:
    source = (
        "async def async_blocking(request: HttpRequest) -> JsonResponse:\n"
        '    return JsonResponse({"fib": fib(N)})'
    )
    assert source in unescape(strip_tags(html_of(client, "/cpu-bound/")))


# --- Two views side by side


def shown_side_by_side(client: Client, query: str = "") -> list[str]:
    html = html_of(client, f"/cpu-bound/{query}")
    cards = re.findall(r"<article.*?</article>", html, re.DOTALL)
    return [re.findall(r"<h3[^>]*>(\w+)</h3>", card)[0] for card in cards]


def test_pitfall_and_its_remedy_are_the_first_two(client: Client) -> None:
    assert shown_side_by_side(client) == ["async_blocking", "async_threaded"]


def test_any_two_views_can_be_chosen(client: Client) -> None:
    chosen = shown_side_by_side(client, "?left=async_threaded&right=sync")
    assert chosen == ["async_threaded", "sync"]


def test_one_view_chosen_is_not_shown_beside_itself(client: Client) -> None:
    assert shown_side_by_side(client, "?left=async_threaded")[1] == "async_blocking"


def test_unknown_view_is_not_found(client: Client) -> None:
    assert client.get("/cpu-bound/?left=async_nonsense").status_code == 404


def test_lines_by_which_two_views_differ_are_marked() -> None:
    by_name = {view.variant.name: view for view in source.shown_views(COMPARISONS["threads"])}
    left, right = source.side_by_side(by_name["sync"], by_name["async_default_executor"])
    for mine, others in ((left, right), (right, left)):
        texts = {line.text for line in others.lines}
        assert [line.differs for line in mine.lines] == [
            line.text not in texts for line in mine.lines
        ]


@pytest.mark.parametrize("slug", COMPARISONS)
def test_a_comparison_begins_with_two_different_views(slug: str) -> None:
    """But for one that compares ways to serve a single view."""
    views = source.shown_views(COMPARISONS[slug])
    left, right = source.telling_pair(views)
    assert left.variant.name != right.variant.name
    assert not right.variant.pitfall
    assert left.variant.pitfall or not any(view.variant.pitfall for view in views)
    if any(view.variant.view is not left.variant.view for view in views):
        marked = source.side_by_side(left, right)
        assert any(line.differs for view in marked for line in view.lines)


def test_line_of_the_pitfall_is_at_fault(client: Client) -> None:
    html = html_of(client, "/cpu-bound/")
    marked = re.findall(r'<span class="line at-fault[^"]*"[^>]*>(.*?)\n</span>', html)
    assert len(marked) == 2  # beside its remedy, and in the list of all views
    assert all("# pitfall" in line for line in marked)


@pytest.mark.parametrize("slug", COMPARISONS)
def test_numbers_of_lines_are_those_of_the_file(slug: str) -> None:
    for view in source.shown_views(COMPARISONS[slug]):
        path, _, _ = view.place.partition(":")
        lines = (settings.BASE_DIR / path).read_text().splitlines()
        assert [lines[line.number - 1] for line in view.lines] == [line.text for line in view.lines]


# --- What views share


def shared_of(slug: str) -> dict[str, list[str]]:
    return {
        part.place: [line.text for line in part.lines if re.match(r"\w", line.text)]
        for part in source.shared_sources(COMPARISONS[slug])
    }


def test_shared_source_is_what_views_use_and_no_declaration() -> None:
    assert shared_of("cpu-bound")["comparisons/pairs/cpu_bound.py"] == [
        "from asgiref.sync import sync_to_async",
        "from django.http import HttpRequest, JsonResponse",
        "N = 26",
        "def fib(n: int) -> int:",
    ]


@pytest.mark.parametrize(
    ("slug", "place", "line"),
    [
        ("gil", "comparisons/offload.py", "def fib(n: int) -> int:"),
        ("cpu-offload", "comparisons/offload.py", "def native_fib(n: int) -> int:"),
        ("gevent", "comparisons/work.py", "def compute(seconds: float) -> None:"),
        (
            "worker-queue",
            "comparisons/limited.py",
            "def limited_path(name: str, capacity: int, wait_ms: int) -> str:",
        ),
    ],
)
def test_functions_of_other_files_that_views_call_are_shown(
    slug: str, place: str, line: str
) -> None:
    assert line in shared_of(slug)[place]


@pytest.mark.parametrize("slug", COMPARISONS)
def test_views_and_what_they_share_is_all_that_they_need(slug: str) -> None:
    """Every name in them is theirs, a builtin, or imported there."""
    comparison = COMPARISONS[slug]
    own = source.shared_sources(comparison)[:1]
    copied = [line.text for part in own for line in part.lines]
    for view in source.shown_views(comparison):
        if not view.same_as and not view.variant.app:
            copied += [line.text for line in view.lines]
    tree = ast.parse("\n".join(copied))
    bound = {*dir(builtins), "__name__"}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in names}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(node.name)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used <= bound


# --- How a variant is served


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
    text = text_in(empty_page(f"/{slug}/"))
    first = {view.variant.view: view.variant.name for view in reversed(shown)}
    for view in shown:
        alone = first[view.variant.view] == view.variant.name
        assert view.same_as == (None if alone else first[view.variant.view])
        assert bool(view.served_differently) is not alone
        assert alone or f"the same view as {view.same_as}, {view.served_differently}" in text


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
    assert ("copy comparisons/recipe.py" in text_in(empty_page(f"/{slug}/"))) is bool(called)


def source_of(slug: str) -> str:
    return Path(COMPARISONS[slug].module.__file__).read_text()


@pytest.mark.parametrize("helper", source.FROM_RECIPE)
def test_helper_of_views_says_where_the_recipe_is(helper: Callable[[], Any]) -> None:
    assert "comparisons/recipe.py" in inspect.getsource(helper)


def test_backticks_become_code_and_html_stays_text() -> None:
    assert prose("the `a < b` & so") == "The <code>a &lt; b</code> &amp; so"


@pytest.mark.parametrize("slug", COMPARISONS)
def test_page_leads_to_the_one_before_and_the_one_after(slug: str) -> None:
    slugs: list[str | None] = [None, *COMPARISONS, None]
    place = slugs.index(slug)
    for rel, expected in (("prev", slugs[place - 1]), ("next", slugs[place + 1])):
        link = re.search(rf'rel="{rel}" href="/([\w-]+)/"', empty_page(f"/{slug}/"))
        assert (link and link[1]) == expected


# --- A comparison's page: the result


def test_page_without_result_names_the_command_that_makes_one(client: Client) -> None:
    assert "Not measured yet: python manage.py compare cpu-bound" in text_of(client, "/cpu-bound/")


def test_page_shows_a_measurement_as_a_row(client: Client, save: Save) -> None:
    save()
    text = text_of(client, "/cpu-bound/")
    assert "4 users, 5 rounds" in text
    figures = "47 46.5–47.5 – 94 % 85.1 1234 40 98.8 1 × 20 7 50"
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
    assert len(columns) > 6
    for column in columns:
        assert column.removesuffix(" ms").removesuffix(" MB") in explained, column


def test_failed_answers_stand_beside_what_was_served(client: Client, save: Save) -> None:
    save(measurement={"requests": 50, "failures": 36})
    assert "47 46.5–47.5 72 % 94 %" in text_of(client, "/cpu-bound/")


def test_growing_backlog_stands_in_place_of_a_latency(client: Client, save: Save) -> None:
    nothing = {"p50": None, "p95": None, "p99": None, "max": None}
    save(measurement={"backlog_growth": 20.4, "latency_ms": nothing})
    assert "94 % backlog grows by 20.4/s – 40" in text_of(client, "/cpu-bound/")


def test_shape_is_the_one_asked_for_where_the_file_has_it(client: Client, save: Save) -> None:
    save(measurement={"workers": 3, "worker_threads": 0})
    assert "98.8 3 × ∞ 7" in text_of(client, "/cpu-bound/")


def test_rows_state_their_load_where_it_differs(client: Client, save: Save) -> None:
    save(measurements=[MEASUREMENT, MEASUREMENT | {"users": 1000, "round_trip": 5}])
    text = text_of(client, "/cpu-bound/")
    assert "asgi-uvicorn 4 users 47" in text
    assert "asgi-uvicorn 1,000 users, 5 ms round trip 47" in text


@pytest.mark.parametrize(
    ("rounds", "said"), [([1, 1], "1 round."), ([4, 4], "4 rounds."), ([4, 8], "4 to 8 rounds.")]
)
def test_page_counts_rounds_in_good_english(
    client: Client, save: Save, rounds: list[int], said: str
) -> None:
    save(measurements=[MEASUREMENT | {"rounds": number} for number in rounds])
    assert f"4 users, {said}" in text_of(client, "/cpu-bound/")


def hold_now() -> dict[str, Any]:
    """HOLD at the line where its code stands today."""
    lines = Path(cpu_bound.__file__).read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip() == HOLD["code"])
    return HOLD | {"place": f"comparisons/pairs/cpu_bound.py:{number}"}


def test_what_held_the_loop_stands_under_the_verdicts_with_its_line(
    client: Client, save: Save
) -> None:
    hold = hold_now()
    save(measurement={"held": [hold]})
    text = text_of(client, "/cpu-bound/")
    who, _, said = text[text.index("Held the event loop") :].partition(" Line ")
    assert who.startswith("Held the event loop async_blocking")
    assert who.endswith("pitfall")
    line = hold["place"].rpartition(":")[2]
    assert said.startswith(
        f"{line}, 21 ms a request it computed, in comparisons.pairs.cpu_bound.fib"
        f' return JsonResponse({{"fib": fib(N)}}) {hold["place"]}'
    )


@pytest.mark.parametrize("held", [None, []])
def test_page_says_nothing_where_no_loop_was_held_or_nobody_looked(
    client: Client, save: Save, held: list[Any] | None
) -> None:
    save(measurement={"held": held})
    html = html_of(client, "/cpu-bound/")
    assert "loop-holds" not in html
    assert "held-for" not in html


def test_line_that_held_the_loop_says_how_long_where_it_is_still_there(
    client: Client, save: Save
) -> None:
    mark = '<span class="held-for" data-time="held 21\N{NO-BREAK SPACE}ms"></span>'
    save(measurement={"held": [hold_now()]})
    assert mark in details_of(html_of(client, "/cpu-bound/"), "async_blocking")
    assert mark not in details_of(html_of(client, "/cpu-bound/"), "async_threaded")
    save(measurement={"held": [hold_now() | {"code": "return fib(N)"}]})
    assert mark not in html_of(client, "/cpu-bound/")


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
    assert "– no interval – – – – 40 98.8 1 × 20 7" in text
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


def test_what_is_refuted_is_explained_where_the_reason_is_known(client: Client, save: Save) -> None:
    known = {"comparison": "many-waiting", "expectation": "async_native threads at most 20"}
    save(measurement={"comparison": "many-waiting"}, verdict=known | {"verdict": "refuted"})
    why = "Why it is refuted: Django's ASGI handler runs the receivers of request_started"
    assert why in text_of(client, "/many-waiting/")
    save(measurement={"comparison": "many-waiting"}, verdict=known)
    assert "Why it is refuted" not in text_of(client, "/many-waiting/")


@pytest.mark.parametrize(("slug", "begins"), refuted.EXPLAINED)
def test_explanation_is_of_an_expectation_that_there_is(slug: str, begins: str) -> None:
    comparison = COMPARISONS[slug]
    texts = [e.text(comparison.case(e)[0]) for e in comparison.expectations]
    assert any(text.startswith(begins) for text in texts)


def test_reason_of_a_pitfall_is_one_element_with_its_mark(client: Client) -> None:
    """A text of its own would be torn from it where the head of the card breaks its line."""
    html = html_of(client, "/request-path/")
    assert re.search(
        r"<span><span [^\n]+ pitfall</span>\s*– one more hop, for the view</span>", html
    )
