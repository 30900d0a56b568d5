"""What verdicts and expectations say, in words."""

import re

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.registry import Cost
from comparisons.result import Expected, Verdict
from comparisons.sentences import expectation_sentence, sentence, terms
from loadtests.judging.declared import Declared

COST = Cost(latency_ms=5, cpu_ms=1)
EACH_COMPARISON = pytest.mark.parametrize("comparison", COMPARISONS.values(), ids=COMPARISONS)


def expect(metric="throughput", of="async_blocking", low=None, high=None, **changes):
    fields = {
        **{"variant": "async_native", "metric": metric, "of": of, "low": low, "high": high},
        **{"users": 6, "round_trip": 0, "text": "its name", "why": "theory"},
    }
    return Expected(**fields | changes)


def found(expected, measured, low=None, high=None, **changes):
    fields = {
        **{"comparison": "blocking-call", "expectation": "its name", "outcome": "holds"},
        **{"measured": measured, "low": low, "high": high, "because": "4 rounds"},
        **{"expected": expected, "rounds": 4},
    }
    return Verdict(**fields | changes)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            found(expect(low=3), 6.14, 6.02, 6.31),
            "async_native serves 6.14 times as many requests a second as async_blocking"
            " (at least 3 expected; 95 % sure of 6.02 to 6.31)",
        ),
        (
            found(expect(low=0.9, high=1.1), 0.984, 0.935, 1.03),
            "async_native serves 98.4 % of the requests a second of async_blocking"
            " (90 to 110 % expected; 95 % sure of 93.5 to 103 %)",
        ),
        (
            found(expect(of="ceiling", low=0.87), 0.907, 0.899, 0.914),
            "async_native serves 90.7 % of its ceiling"
            " (at least 87 % expected; 95 % sure of 89.9 to 91.4 %)",
        ),
        (
            found(expect(of="queue", low=1), 1.31, 1.22, 1.4),
            "async_native serves 131 % of what a queue for the CPU leaves it"
            " (at least 100 % expected; 95 % sure of 122 to 140 %)",
        ),
        (
            found(expect("bystander", of="wait", low=1), 6.29, 6.16, 6.42),
            "a bystander of async_native waits 6.29 times a request's wait"
            " (at least 1 expected; 95 % sure of 6.16 to 6.42)",
        ),
        (
            found(expect("latency", high=0.4), 0.207, 0.202, 0.213),
            "async_native answers after 20.7 % of the time of async_blocking"
            " (at most 40 % expected; 95 % sure of 20.2 to 21.3 %)",
        ),
        (
            found(expect("bystander", of=None, high=10), 2.73, 2.46, 3),
            "a bystander of async_native waits 2.73 ms"
            " (at most 10 expected; 95 % sure of 2.46 to 3)",
        ),
        # Limits
        (
            found(expect("connections", of=None, high=8), 8, 8, 8),
            "async_native holds 8 connections to Postgres in each of 4 rounds (at most 8 expected)",
        ),
        (
            found(expect("threads", of=None, high=20), 1008, 1002, 1008, outcome="refuted"),
            "async_native's server has 1,002 to 1,008 threads in 4 rounds (at most 20 expected)",
        ),
        # Shares
        (
            found(expect("failures", of=None, high=0), 0, 0, 0.0119, answers=312),
            "none of 312 requests to async_native failed"
            " (none expected; 95 % sure that fewer than 1 in 84 do)",
        ),
        (
            found(
                expect("failures", of=None, high=0),
                0.0625,
                0.01,
                0.2,
                answers=64,
                outcome="refuted",
            ),
            "4 of 64 requests to async_native failed (none expected; 95 % sure of 1 to 20 %)",
        ),
        (
            found(expect("failures", of=None, low=0.5), 0.729, 0.698, 0.761, answers=152),
            "72.9 % of the requests to async_native failed"
            " (at least 50 % expected; 95 % sure of 69.8 to 76.1 %)",
        ),
        # The case, the place, what is open, what could not be measured
        (
            found(
                expect(low=2, round_trip=10, text="a throughput of b at least 2 at 10 ms"),
                *(3, 2.5, 3.5),
                deployment="asgi-gunicorn",
            ),
            "async_native serves 3 times as many requests a second as async_blocking"
            " at a distance of 10 ms on asgi-gunicorn"
            " (at least 2 expected; 95 % sure of 2.5 to 3.5)",
        ),
        (
            found(
                expect(low=3),
                *(3.2, 2.9, 3.5),
                outcome="inconclusive",
                open_because="about 5 more rounds like these",
            ),
            "async_native serves 3.2 times as many requests a second as async_blocking"
            " (at least 3 expected; 95 % sure of 2.9 to 3.5;"
            " to decide it takes about 5 more rounds like these)",
        ),
        (
            found(expect(low=3), None, outcome="invalid", because="sync: the server died"),
            "not measured: async_native serves at least 3 times as many requests a second as"
            " async_blocking: sync: the server died",
        ),
        # Of an older file
        (
            found(None, 2.35, 2.1, 2.6, expectation="sync latency of wait at most 3"),
            "sync latency of wait at most 3: 2.35 (2.1–2.6; 4 rounds)",
        ),
    ],
)
def test_verdict_is_a_sentence(verdict, said):
    assert sentence(verdict) == said


def expected_of(comparison):
    return Declared.of(comparison, COST, 0.01).expectations


@EACH_COMPARISON
def test_every_expectation_is_a_sentence_of_its_variants_and_numbers(comparison):
    for expected in expected_of(comparison):
        said = expectation_sentence(expected)
        assert expected.variant in said
        assert expected.of in (None, "ceiling", "wait", "work") or expected.of in said
        assert not re.search(r"None|nan|[{}–]|  ", said)
        assert re.search(r"\d|none", said)


@EACH_COMPARISON
def test_every_verdict_says_what_was_measured_and_what_was_expected(comparison):
    for expected in expected_of(comparison):
        shares = {"answers": 40} if expected.metric == "failures" else {}
        said = sentence(found(expected, 0.875, 0.75, 0.95, **shares))
        assert " expected" in said
        assert re.search(r"87\.5 %|0\.875|35 of 40|0\.75 to 0\.95", said)
        assert not re.search(r"None|nan|[{}]|  ", said)


def test_bounds_that_no_machine_has_decided_yet_are_said_without_a_number():
    near, same = expect(of="ceiling"), expect()
    assert "as near to its ceiling as a request's cost on this machine" in expectation_sentence(
        near
    )
    assert expectation_sentence(same) == (
        "async_native serves as many requests a second as async_blocking,"
        " but for a request's cost on this machine"
    )


def test_terms_are_explained_where_they_are_used():
    assert terms([found(expect(low=3), 6)]) == []
    used = terms([found(expect("bystander", of="wait", low=1), 6)])
    assert [term for term, _ in used] == ["bystander", "wait"]
