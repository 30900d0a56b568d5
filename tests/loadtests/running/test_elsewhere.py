"""Servers that are not ours, with requests that no pair declares: what is sent, and what counts."""

from contextlib import closing
from dataclasses import replace

import pytest

from loadtests.advising.advice import comparison_of, row_of
from loadtests.asks import METHODS, Ask
from loadtests.judging.declared import Declared
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Sample
from loadtests.judging.validity import agreed_digest, why_invalid
from loadtests.judging.verdicts import in_doubt, judge_comparison
from loadtests.running import backends, measuring, servers
from loadtests.running.measuring import measure, order_of
from loadtests.running.warming import ViewError, warm_up
from tests.support.elsewhere import asked, deployments
from tests.support.rounds import PLAN

BOTH = comparison_of([("threads", "wsgi"), ("loop", "asgi")], base="threads", users=2)


@pytest.fixture
def site(tmp_path):
    return deployments(tmp_path)


def row(site, asks, comparison=BOTH, name="loop", **options):
    interface = {"threads": "wsgi", "loop": "asgi"}[name]
    return row_of(comparison, name, site[interface], asks, **options)


def samples_of(generator, row):
    """What one round of the row is answered."""
    with servers.serving([row.deployment]) as (server,):
        result = generator.run(order_of("advice", row, server, PLAN))
    assert [Sample(*sample).status for sample in result.bystander]
    assert not [sample for sample in result.bystander if Sample(*sample).error]
    return [Sample(*sample) for sample in result.samples]


def test_the_mix_is_asked_for_in_turn_by_weight(generator, site, tmp_path):
    one = comparison_of([("loop", "asgi")], base="loop", users=1)
    asks = [
        Ask("/orders/?page=2&q=a%20b", weight=2),
        Ask("/pay/", "POST", {"Cookie": "session=1", "Content-Type": "text/plain"}, b"5"),
    ]
    samples = samples_of(generator, row(site, asks, one))
    order, pay = "GET /orders/?page=2&q=a%20b", "POST /pay/ session=1 text/plain 5"
    assert asked(tmp_path)[:9] == [order, pay, order] * 3
    assert {(sample.error, sample.digest) for sample in samples} == {(None, 0)}


def test_users_share_the_mix(generator, site, tmp_path):
    samples_of(generator, row(site, [Ask("/a/"), Ask("/b/"), Ask("/c/", weight=2)]))
    said = asked(tmp_path)
    assert abs(said.count("GET /c/") - 2 * said.count("GET /a/")) <= 3


def test_open_loop_of_a_mix(generator, site, tmp_path):
    open_loop = comparison_of([("loop", "asgi")], base="loop", rate=100)
    samples = samples_of(generator, row(site, [Ask("/a/"), Ask("/created/")], open_loop))
    said = asked(tmp_path)
    assert abs(said.count("GET /a/") - said.count("GET /created/")) <= 1
    assert {sample.status for sample in samples if not sample.error} == {200, 201}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/created/", None),
        ("/moved/", "status 302"),  # it is not followed
        ("/missing/", "status 404"),
        ("/stranger/", "answered by 'another' instead of 'theirs-asgi "),
    ],
)
def test_right_is_what_the_server_itself_answers_with_a_2xx(generator, site, path, error):
    samples = samples_of(generator, row(site, [Ask(path)]))
    wrong = {sample.error for sample in samples if not str(sample.error).startswith(str(error))}
    assert not wrong


def test_every_method_is_sent_and_answered(generator, site, tmp_path):
    samples = samples_of(generator, row(site, [Ask("/a/", m) for m in METHODS], name="threads"))
    assert {(sample.status, sample.error) for sample in samples} == {(200, None)}
    assert set(asked(tmp_path)) == {f"{method} /a/" for method in METHODS}


def test_cookies_that_come_back_are_not_sent(generator, site, tmp_path):
    samples_of(generator, row(site, [Ask("/session/")]))
    assert set(asked(tmp_path)) == {"GET /session/"}


def test_bodies_that_differ_count_where_they_may(generator, site):
    sound = row(site, [Ask("/different/")], any_body=True)
    assert {sample.digest for sample in samples_of(generator, sound)} == {0}
    assert len({s.digest for s in samples_of(generator, replace(sound, any_body=False))}) > 1


def test_warm_up_asks_for_all_of_the_mix_and_shows_what_is_broken(site, tmp_path):
    asks = [Ask("/a/"), Ask("/different/"), Ask("/created/", "POST", body=b"1")]
    rows = [row(site, asks, name=name) for name in ("threads", "loop")]
    with servers.serving([each.deployment for each in rows]) as running:
        warm_up("advice", rows, running)
        assert sorted(set(asked(tmp_path))) == ["GET /a/", "GET /different/", "POST /created/ 1"]
        broken = [rows[0], row(site, [*asks, Ask("/missing/")])]
        with pytest.raises(ViewError) as said:
            warm_up("advice", broken, running)
    line = "loop (GET /missing/) answers with status 404: 'nothing here'"
    assert str(said.value) == line


def test_same_requests_with_different_answers_are_found_in_the_warm_up(site):
    rows = [row(site, [Ask("/different/")], name=name) for name in ("threads", "loop")]
    with (
        servers.serving([each.deployment for each in rows]) as running,
        pytest.raises(ViewError, match="answers with"),
    ):
        warm_up("advice", rows, running)


def test_candidates_are_measured_as_variants_are(generators, site, tmp_path, monkeypatch):
    """And nothing of ours is asked: neither our PostgreSQL nor that our services live."""
    for module, name in ((backends.psycopg, "connect"), (measuring.services, "ensure_alive")):
        monkeypatch.setattr(module, name, None)
    monkeypatch.delenv("DATABASE_URL")
    asks = [Ask("/a/", weight=2), Ask("/different/")]
    rows = [row(site, asks, name=name) for name in ("threads", "loop")]
    declared = Declared.of(BOTH)
    with closing(
        measure(BOTH, rows, PLAN, 1, generators, lambda _: [], databases=[("localhost", 5432)])
    ) as measuring_:
        found = list(measuring_)
    digest = agreed_digest(found)
    assert {(round_.variant, round_.deployment, round_.block) for round_ in found} == {
        ("threads", "theirs-wsgi", 1),
        ("loop", "theirs-asgi", 1),
    }
    assert {
        reason
        for round_ in found
        for reason in why_invalid(round_, digest)
        if "failed" in reason or "another body" in reason
    } == set()
    assert [each.comparison for each in measurements(declared, found)] == ["advice"] * 2
    (verdict,) = judge_comparison(declared, found, PLAN.looks)
    assert verdict.expectation == "loop throughput of threads between 0.95 and 1.05"
    assert {key[0] for key in in_doubt(declared, found, PLAN.looks)} <= {"threads", "loop"}


def test_server_of_a_reader_is_told_nothing_of_ours(site):
    away = {"DATABASE_URL": "postgres://"}
    assert row(site, [Ask("/")]).server_environ("advice", away, server=0) == {}


def test_comparison_speaks_of_latency_where_a_rate_is_asked_for():
    names = [("now", "wsgi"), ("async_loop", "asgi"), ("sync_more", "asgi")]
    comparison = comparison_of(names, base="now", rate=50)
    assert (comparison.slug, comparison.rate) == ("advice", 50)
    assert [expectation.text(1) for expectation in comparison.expectations] == [
        "async_loop latency of now between 0.95 and 1.05",
        "sync_more latency of now between 0.95 and 1.05",
    ]
