"""`compare --against FILE`: what changed, before the last line; FILE is read before anything."""

import json
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from rich.console import Console

from comparisons import result_store
from comparisons.changes import changes
from comparisons.pairs import blocking_call
from comparisons.registry import Expectation
from loadtests.judging.declared import Declared
from loadtests.judging.rounds import Sample
from loadtests.reporting.changed import print_changes
from loadtests.running.schedule import FULL
from tests.support.made import BODY, made_result, made_round, rows_of
from tests.support.results import HOLD

REFERENCE = settings.RESULTS_DIR / result_store.REFERENCE
AT_LEAST_5 = Expectation(
    blocking_call.async_native,
    "throughput",
    of=blocking_call.async_blocking,
    at_least=5,
    why="theory",
)
DECLARED = Declared.of(replace(blocking_call.comparison, expectations=[AT_LEAST_5]))


def saved(path, native, blocking=(10, 10.1, 10, 9.9)):
    """The file of a run in which these views served so many requests a second, round by round."""
    rounds = [
        made_round(name, block, rate)
        for name, rates in (("async_native", native), ("async_blocking", blocking))
        for block, rate in enumerate(rates, 1)
    ]
    result_store.save(path, made_result([DECLARED], rounds, FULL), rows_of(rounds))
    return path


@pytest.fixture
def before(tmp_path):
    return saved(tmp_path / "before.json", (95, 96, 95, 94))


@pytest.fixture
def said(capsys):
    """What the command says of two files."""

    def run(before, after, *arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            call_command("compare", "--from", str(after), "--against", str(before), *arguments)
        assert ended.value.code == status
        return capsys.readouterr().out

    return run


def test_view_a_fifth_slower_is_found(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (76, 77, 76, 75))
    out = said(before, after)
    assert "≠ blocking-call: async_native serves at least 5 times" in out
    assert "9.5 before, 7.6 after; held both times" in out
    assert "≠ blocking-call/async_native on asgi-uvicorn, 6 users" in out
    assert "95 before, 76 after" in out


def test_check_fails_for_a_view_that_serves_a_fifth_less(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (76, 77, 76, 75))
    out = said(before, after, "--check", status=1)
    assert "\nWorse than before\n≠ blocking-call/async_native on asgi-uvicorn, 6 users" in out
    assert "Worse than before" not in said(before, after)  # what is not asked for is not said


def test_check_fails_for_a_view_that_starts_to_block_and_names_the_line(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (95, 96, 95, 94))
    for path, held in ((before, []), (after, [HOLD])):
        content = json.loads(path.read_text())
        content["measurements"][0]["held"] = held
        path.write_text(json.dumps(content))
    out = " ".join(said(before, after, "--check", status=1).split())
    said_so = out.partition("Worse than before")[2]
    assert "on asgi-uvicorn, 6 users" in said_so
    assert "held the event loop for 21 ms a request at cpu_bound.py:26" in said_so


def at_a_rate(path, medians):
    """The file of a run in which so many requests/s are sent, and answered after so many ms."""
    rounds = [
        replace(
            made_round(block=block, rate=100.0),
            rate=100.0,
            samples=[Sample(100 + n / 100, ms, 200, BODY, None) for n in range(100)],
        )
        for block, ms in enumerate(medians, 1)
    ]
    declared = replace(DECLARED, expectations=[])
    result_store.save(path, made_result([declared], rounds, FULL), rows_of(rounds))
    return path


@pytest.mark.parametrize(("ms", "status"), [(60, 1), (50, 0), (40, 0)])
def test_check_fails_for_a_view_that_answers_later_at_a_given_rate(said, tmp_path, ms, status):
    before = at_a_rate(tmp_path / "before.json", (50, 51, 49, 50))
    after = at_a_rate(tmp_path / "after.json", (ms, ms + 1, ms - 1, ms))
    out = said(before, after, "--check", status=status)
    assert ("50 ms before, 60 ms after" in out.partition("Worse than before")[2]) == (status == 1)


@pytest.mark.parametrize("native", [(95, 96, 95, 94), (120, 121, 119, 120)], ids=["same", "faster"])
def test_check_passes_where_nothing_is_worse(before, said, tmp_path, native):
    after = saved(tmp_path / "after.json", native)
    assert "Worse than before" not in said(before, after, "--check")


def test_verdicts_are_counted_last_and_changes_before_them(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (76, 77, 76, 75))
    assert said(before, after).splitlines()[-2:] == [
        "1 changed, 0 same, 0 can't tell",
        "1 held, 0 refuted, 0 inconclusive, 0 invalid",
    ]


def test_which_side_is_before_is_said(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (95, 96, 95, 94))
    text = " ".join(said(before, after).split())
    assert f"From {before} (before) to {after} (after)" in text
    assert "0 changed, 1 same, 0 can't tell" in text


def test_claim_that_is_refuted_now_says_what_it_was(before, said, tmp_path):
    after = saved(tmp_path / "after.json", (30, 31, 30, 29))
    assert "9.5 before, 3 after; held before, refuted after" in said(before, after)


def test_only_the_comparisons_asked_for_are_compared(said):
    out = said(REFERENCE, REFERENCE, "cache")
    verdicts = [v for v in result_store.read(REFERENCE).verdicts if v.comparison == "cache"]
    counted = [int(word) for word in out.splitlines()[-2].split() if word.isdecimal()]
    assert (counted[0], sum(counted)) == (0, len(verdicts))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "not a result file"),
        ("{", "not a result file"),
        ('{"schema": 0}', "its schema is 0 instead of 1"),
    ],
)
def test_file_that_is_no_result_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch, content, why
):
    monkeypatch.setattr("loadtests.management.commands.compare._run", pytest.fail)
    path = tmp_path / "before.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CommandError) as refused:
        call_command("compare", "blocking-call", "--against", str(path))
    assert refused.value.returncode == 2
    assert str(refused.value).startswith(f"--against: {path}: ")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def rewritten(path, **odd):
    content = json.loads(path.read_text())
    content["verdicts"][0] |= odd
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "odd", [{"rounds": -1}, {"low": 1e300}, {"high": 1e-300}, {"measured": -1}]
)
def test_odd_numbers_of_a_file_tell_nothing(before, said, tmp_path, odd):
    after = saved(tmp_path / "after.json", (76, 77, 76, 75))
    assert "0 changed, 0 same, 1 can't tell" in said(rewritten(before, **odd), after)


def test_number_that_no_float_holds_is_refused(before):
    with pytest.raises(CommandError, match=r"--against: .*: not a result file") as refused:
        call_command("compare", "--against", str(rewritten(before, rounds=10**400)))
    assert "\n" not in str(refused.value)


def test_eighty_columns_are_enough(capsys):
    """Of two runs that differ in everything: no line is longer, and nothing is cut off."""
    result = result_store.read(REFERENCE)
    rows = [replace(row, workers=row.workers + 1) for row in result.measurements]
    verdicts = [
        replace(verdict, outcome="refuted", measured=verdict.measured and 3 * verdict.measured)
        for verdict in result.verdicts[1:]
    ]
    other = replace(result, measurements=rows, verdicts=verdicts, environment={"django": "6.1"})
    print_changes(changes(result, other), "before.json", "after.json", Console(width=80))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "processes × threads" in out
