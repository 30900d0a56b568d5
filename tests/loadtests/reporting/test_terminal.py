"""What the terminal shows of comparisons, measurements and verdicts, in 80 columns."""

import io
import re
from dataclasses import replace

import pytest
from django.conf import settings
from rich.console import Console

from comparisons import result_store
from comparisons.pairs import COMPARISONS, GROUPS
from comparisons.questions import QUESTIONS
from comparisons.result import Bystander, Expected, Hold, Verdict
from loadtests.judging.declared import Declared
from loadtests.reporting import saved, terminal
from tests.support.results import HOLD

REFERENCE = settings.RESULTS_DIR / result_store.REFERENCE
SAVED = saved.read(REFERENCE)
ROW = SAVED.result.measurements[0]
EXPECTED = Expected(
    variant="async_native",
    metric="throughput",
    of="async_blocking",
    low=3,
    high=None,
    users=6,
    round_trip=0,
    text="its name",
    why="Because theory says so.",
)
VERDICT = Verdict(
    comparison="blocking-call",
    expectation="its name",
    outcome="holds",
    measured=6.14,
    low=6.02,
    high=6.31,
    because="4 rounds",
    expected=EXPECTED,
)


def printed(rows, verdicts=(), **options):
    """What is printed of a comparison on a terminal of 80 columns."""
    console = Console(width=80, record=True, file=io.StringIO())
    terminal.print_summary("title", rows, verdicts, console, **options)
    return console.export_text()


def test_table_of_waiting_requests_has_threads_and_memory_instead_of_a_rate():
    row = replace(
        ROW,
        deployment="wsgi-threads",
        users=1000,
        workers=1,
        worker_threads=1000,
        waiting=True,
        latency_ms=replace(ROW.latency_ms, p50=2000, p99=2500),
        bystander_ms=replace(ROW.bystander_ms, p50=4.1, longest=5.2),
        server=replace(ROW.server, threads=1002, rss_mb=95.0, idle_mb=57.0),
    )
    text = printed([row])
    assert re.search(r"sync +1,002 +2000 +4.1 *\n +wsgi-threads, 1 × 1000 +38 +2500 +5.2", text)
    assert "req/s" not in text


def test_table_without_a_bystander_has_cpu_time_and_threads_in_its_place():
    alone = replace(
        ROW,
        latency_ms=replace(ROW.latency_ms, p50=1.77, p99=4.08),
        bystander_ms=Bystander(None, None, None, None),
        server=replace(ROW.server, cpu_ms_per_request=0.115, threads=5),
    )
    text = printed([alone])
    assert re.search(r" 1.77 +0.115 .*\n.* 4.08 +5 ", text)
    assert "bystander" not in text
    assert "bystander" in printed([alone, replace(alone, bystander_ms=Bystander(4, 5, 6, 5))])


def test_table_names_the_cases_where_there_are_several():
    assert "users" not in printed([ROW, ROW])
    text = printed([ROW, replace(ROW, users=123), replace(ROW, round_trip=2.5)])
    assert re.search(rf"{ROW.variant} +123 +0 ", text)
    assert re.search(rf"{ROW.variant} +{ROW.users} +2.5 ", text)


def test_failed_answers_stand_beside_what_was_served():
    text = printed([replace(ROW, requests=50, failures=36)])
    assert re.search(r"of ceiling .*\n.* failed ", text)
    assert re.search(r"\n +wsgi-threads, 1 × 20 .* 72 % ", text)


def test_growing_backlog_is_shown_instead_of_a_latency():
    nothing = replace(ROW.latency_ms, p50=None, p99=None)
    text = printed([replace(ROW, rate=60.0, latency_ms=nothing, backlog_growth=20.4)])
    assert re.search(r" backlog ", text)
    assert re.search(r" \+20\.4/s ", text)


def test_invalid_row_and_what_it_lacks_are_shown():
    nothing = replace(ROW.latency_ms, p50=None, p99=None)
    text = printed([replace(ROW, valid=False, latency_ms=nothing)])
    assert re.search(r"sync \(invalid\) .* – ", text)


@pytest.mark.parametrize("slug", SAVED.slugs)
def test_eighty_columns_are_enough(slug):
    """No line is longer, and nothing in it is cut off."""
    rows, verdicts = SAVED.summary(slug)
    text = printed(rows, verdicts, every_reason=True)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_verdict_breaks_between_words_and_not_before_its_unit():
    percent = replace(EXPECTED, variant="async_" + "n" * 46, low=0.9, high=1.1)
    verdict = replace(VERDICT, measured=0.98, low=0.95, high=1.03, expected=percent)
    lines = printed([ROW], [verdict]).split("✓ ")[1].splitlines()
    assert len(lines) > 2
    assert not any(line.strip().startswith("%") for line in lines)


@pytest.mark.parametrize(("outcome", "shown"), [("holds", 0), ("refuted", 1), ("inconclusive", 1)])
def test_reason_stands_under_what_does_not_hold(outcome, shown):
    assert printed([ROW], [replace(VERDICT, outcome=outcome)]).count("Why: Because") == shown
    assert printed([ROW], [VERDICT], every_reason=True).count("Why: Because") == 1


def test_list_has_a_line_for_each_comparison():
    groups = {
        name: [Declared.of(module.comparison) for module in modules]
        for name, modules in GROUPS.items()
    }
    lines = list(terminal.index(groups, 80))
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMPARISONS)


def test_list_has_every_question_that_a_chosen_comparison_answers():
    lines = list(terminal.questions(QUESTIONS, ["uploads", "overload"], 80))
    asked = [
        question for question, slugs in QUESTIONS.items() if {"uploads", "overload"} & {*slugs}
    ]
    assert [line.strip() for line in lines[1::2]] == asked
    assert {line.strip() for line in lines[2::2]} == {"uploads", "overload"}


MET = COMPARISONS["blocking-call"].met_under


def test_open_loops_heading_says_its_rate():
    assert terminal.heading(Declared.of(COMPARISONS["overload"])).endswith(
        "(150 requests a second)"
    )


def test_detail_has_every_variant_and_every_expectation_with_its_reason():
    declared = Declared.of(COMPARISONS["blocking-call"])
    text = "\n".join(terminal.detail(declared, [("async_blocking", "asgi-uvicorn")], MET, 80))
    assert re.search(r"async_blocking +asgi-uvicorn, pitfall", text)
    assert "\nmet under ASGI (asgi-uvicorn)\n" in text
    assert text.count("\n- ") == len(declared.expectations)
    flat = re.sub(r"\s+", " ", text)
    assert all(expected.why in flat for expected in declared.expectations)


def test_detail_says_what_else_a_variant_declares_beneath_its_deployment():
    declared = Declared.of(COMPARISONS["blocking-call"])
    shape = ("asgi-uvicorn", "with 2 processes", "with POOL_SIZE=5")
    _heading, lines, *_ = terminal.detail(declared, [("async_blocking", *shape)], "", 50)
    assert lines.splitlines() == [
        "  async_blocking  asgi-uvicorn, pitfall, with 2",
        "                  processes, with POOL_SIZE=5",
    ]


def test_what_held_the_loop_stands_under_the_table_in_eighty_columns():
    hold = Hold.from_row(HOLD)
    text = printed([ROW, replace(ROW, variant="async_blocking", held=[hold])])
    assert max(map(len, text.splitlines())) <= 80
    assert (
        "async_blocking held the event loop for 21 ms a request at cpu_bound.py:26,"
        ' return JsonResponse({"fib": fib(N)})'
    ) in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("held", [None, []])
def test_nothing_is_said_where_nothing_was_held_or_nobody_looked(held):
    assert "held" not in printed([replace(ROW, held=held)])


def test_hold_says_on_which_of_several_deployments():
    held = [Hold.from_row(HOLD)]
    said = printed([replace(ROW, deployment=name, held=held) for name in ("one", "other")])
    assert re.findall(r" on (one|other)", said) == ["one", "other"]


def test_few_verdicts_are_not_added_up():
    assert terminal.sureness([VERDICT] * 5, [VERDICT] * 5) == ""


def test_run_says_how_many_of_its_verdicts_may_be_wrong():
    """Of 200, each of which is wrong 2.5 times in 100 at most: five."""
    stricter = [VERDICT] * 150 + [replace(VERDICT, outcome="inconclusive")] * 50
    said = terminal.sureness([VERDICT] * 200, stricter)
    assert "of 200, 5 if every truth lay on its bound" in said
    assert "150 of them stand even if all together" in said


def test_load_generators_are_said_with_what_each_can_do():
    workers = [
        {"name": "here-1", "capacity": 1500, "uncertain_ms": 0.21},
        {"name": "load1", "capacity": 2400, "uncertain_ms": 0.54},
    ]
    assert terminal.load_generators({"capacity": 3700.4, "workers": workers}, 200) == (
        "load generators: here-1 1,500 requests/s alone, load1 2,400; together 3,700; "
        "their clocks are known to ±0.5 ms"
    )
    assert terminal.load_generators({"capacity": 1500.0}, 200) == ""
