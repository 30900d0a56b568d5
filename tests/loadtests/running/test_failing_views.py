"""A view that raises, hangs or answers otherwise: what a run says of it, and what it keeps."""

import json
import signal
from dataclasses import replace

import pytest

from loadtests.judging.validity import why_invalid
from loadtests.running import servers, warming
from loadtests.running.warming import ViewError
from tests.support.commands import python
from tests.support.rounds import BLOCKING_CALL, measured_rounds


def measured_with(lie, generator, logs=None, settings="tests.support.lying_settings", **changes):
    """The rounds of two variants, the second of which lies; and the ViewError, if there is one."""
    liar = f"blocking-call/async_native {lie}" if lie else "blocking-call/async_native"
    environ = {"DJANGO_SETTINGS_MODULE": settings, "LIE": liar}
    variants = [
        replace(variant, environ=environ, **changes) if variant.name == "async_native" else variant
        for variant in BLOCKING_CALL.variants
        if variant.name in ("sync", "async_native")
    ]
    small = replace(BLOCKING_CALL, variants=variants, expectations=[])
    rounds = []
    try:
        measured_rounds(small, generator, logs=logs, found=rounds)
    except ViewError as error:
        return rounds, error
    return rounds, None


def test_view_that_raises_stops_its_comparison_with_the_exception(generator, tmp_path):
    rounds, error = measured_with("raise", generator, tmp_path / "logs")
    log = tmp_path / "logs" / "blocking-call-async_native.log"
    assert str(error) == (
        f"async_native answers with status 500: ValueError: planted (its server's log: {log})"
    )
    assert "raise ValueError" in log.read_text()
    assert {round_.variant: round_.broken for round_ in rounds} == {
        "sync": ["not measured, for async_native fails"],
        "async_native": ["answers with status 500: ValueError: planted"],
    }
    assert all(why_invalid(round_, None) for round_ in rounds)


def test_view_without_an_exception_is_told_by_its_status(generator):
    _, error = measured_with("missing", generator)
    assert "async_native answers with status 404: " in str(error)


def test_body_that_differs_is_shown_beside_the_others(generator):
    _, error = measured_with("body", generator)
    ours, theirs = """'{"waited_ms": 100} '""", """'{"waited_ms": 100}'"""
    assert str(error) == f"async_native answers with {ours}, sync with {theirs}"


def test_long_bodies_are_cut_to_their_difference():
    ours, theirs = (b"x" * 500 + end + b"y" * 500 for end in (b"1", b"2"))
    assert warming._around_the_difference(ours, theirs) == (
        f"…{'x' * 20 + '1' + 'y' * 39!r}…",
        f"…{'x' * 20 + '2' + 'y' * 39!r}…",
    )


@pytest.mark.parametrize("lie", [pytest.param("hang", marks=pytest.mark.long), "dribble"])
def test_view_that_does_not_end_is_not_waited_for(lie, generator, monkeypatch):
    monkeypatch.setattr(warming, "TIMEOUT_S", 3)
    _, error = measured_with(lie, generator)
    assert str(error) == "async_native has not answered after 3 s"


def test_view_that_kills_its_server_stops_its_comparison(generator, monkeypatch):
    monkeypatch.setattr(warming, "CALLS", 20)  # the call that kills
    _, error = measured_with("", generator, settings="tests.support.dying_settings")
    assert str(error).startswith("async_native ")
    assert f"signal {signal.SIGKILL}" in str(error) or "breaks the connection off" in str(error)


def test_variant_that_may_fail_is_measured_all_the_same(generator):
    rounds, error = measured_with("raise", generator, may_fail=True)
    assert error is None
    assert {sample.status for round_ in rounds for sample in round_.samples} == {200, 500}


def test_exception_under_load_is_a_reason_of_its_round(generator, tmp_path, undisturbed):
    rounds, error = measured_with("raise-later", generator, tmp_path / "logs")
    assert error is None
    (round_,) = [round_ for round_ in rounds if round_.variant == "async_native"]
    log = tmp_path / "logs" / "blocking-call-async_native.log"
    reasons = why_invalid(round_, None)
    assert f"ValueError: planted (its server's log: {log})" in reasons
    own = len(round_.samples)
    assert any(f" of {own} answers failed: status 500" in reason for reason in reasons)
    assert not any("bystander" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", ""),
        ("a word\n", ""),
        ("Traceback (most recent call last):\n  File x\n    y\nOSError: a\nb\n", "OSError: a"),
        (
            "Traceback (most recent call last):\n  a\nKeyError: 1\n\nDuring handling\n\n"
            "Traceback (most recent call last):\n  b\nValueError: 2\n",
            "ValueError: 2",
        ),
        (
            "  + Exception Group Traceback (most recent call last):\n"
            "  |   File x\n  | ExceptionGroup: g\n"
            "  +-+---------------- 1 ----------------\n"
            "    | Traceback (most recent call last):\n    |   File y\n    | OSError: inner\n"
            "    +------------------------------------\n",
            "OSError: inner",
        ),
    ],
)
def test_last_exception_of_a_log_is_found(said, line, tmp_path):
    log = tmp_path / "log"
    log.write_text(said)
    assert servers.last_exception(log) == line


@pytest.mark.long
def test_run_goes_on_without_the_failing_comparison_and_exits_with_2(tmp_path):
    path = tmp_path / "result.json"
    broken = ["--settings", "tests.support.lying_settings"]
    small = ["print", "across-requests", "--quick", "--deployment", "asgi-uvicorn"]
    arguments = [*small, "--output", str(path), *broken]
    done = python("manage.py", "compare", *arguments, LIE="print/async_silent raise")
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    log = tmp_path / "result.logs" / "print-async_silent.log"
    assert "print: async_silent answers with status 500: ValueError: planted" in line
    assert str(log) in line
    assert "ValueError: planted" in log.read_text()
    rows = json.loads(path.read_text())["measurements"]
    assert {row["comparison"] for row in rows} == {"print", "across-requests"}
    assert not any(row["valid"] for row in rows if row["comparison"] == "print")
    assert any(row["valid"] for row in rows if row["comparison"] == "across-requests")
