"""What somebody else serves: its rounds, and what comes between them."""

from contextlib import closing
from dataclasses import replace
from math import isnan

import pytest

from loadtests.judging.metrics import METRICS
from loadtests.management.commands.compare import Command
from loadtests.running import host as host_module
from loadtests.running import hosted, measuring, servers
from loadtests.running.host import HostError, host_of
from loadtests.running.schedule import Plan
from project.deployments import DEPLOYMENTS
from tests.support.foreign import site

PLAN = Plan(window=0.2, looks=(2,))
OPTIONS = {
    name: action.default
    for action in Command().create_parser("manage.py", "compare")._actions
    for name in [action.dest]
}
UVICORN = DEPLOYMENTS["asgi-uvicorn"]


def options(url, *slugs, **given):
    return {**OPTIONS, "host": url, "slugs": list(slugs), **given}


def chosen(url, *slugs, **given):
    """The host, met, and what is measured there."""
    asked = options(url, *slugs, **given)
    host = hosted.asked_for(asked)
    host.meet()
    return host, hosted.choose(asked, host)


def rounds_of(generator, host, choice, plan=PLAN, found=None):
    """Those of its only comparison."""
    found = [] if found is None else found
    ((comparison, rows),) = choice.rows
    measured = hosted.measure(host, comparison, rows, plan, 1, [generator], lambda _: [])
    with closing(measured):
        for round_ in measured:
            found.append(round_)
    return found


def faults(round_):
    """What went wrong in it, but for what the load generator itself may be too slow for here."""
    return [*round_.broken, *{one.error for one in round_.samples if one.failed}]


@pytest.fixture
def ours():
    """A server of this project, as somebody else would run it."""
    with servers.serving([UVICORN]) as (server,):
        yield server


@pytest.fixture
def foreign():
    with site() as server:
        yield server


def test_comparison_is_measured_where_somebody_else_serves_this_project(
    generator, ours, undisturbed
):
    host, choice = chosen(ours.url, "blocking-call")
    measured = rounds_of(generator, host, choice)
    assert {round_.variant for round_ in measured} == {
        *("async_blocking", "async_threaded", "async_native")
    }
    assert {round_.deployment for round_ in measured} == {f"at {host.place}"}
    assert [faults(round_) for round_ in measured] == [[]] * len(measured)
    assert all(round_.bystander_answers() for round_ in measured)
    assert all(isnan(METRICS[name](measured[0])) for name in hosted.OF_SERVER)


def test_what_the_host_cannot_show_has_no_verdict_and_one_reason(ours):
    _, choice = chosen(ours.url, "blocking-call")
    ((comparison, _),) = choice.rows
    assert {expectation.metric for expectation in comparison.expectations} <= {
        *("throughput", "latency", "bystander", "bystander_max")
    }
    (line,) = [line for line in choice.left_out if line.startswith("not judged")]
    assert "CPU, cores, memory" in line


def test_far_away_no_time_is_judged_to_which_the_network_adds(ours):
    host, near = chosen(ours.url, "blocking-call")
    host.round_trip_ms = 30
    far = hosted.choose(options(ours.url, "blocking-call"), host)
    assert any(one.of == "wait" for one in near.rows[0][0].expectations)
    assert not any(one.of == "wait" for one in far.rows[0][0].expectations)
    assert any("the network adds 30 ms" in line for line in far.left_out)


def test_variants_that_post_are_for_a_host_that_says_what_it_is(ours):
    host, choice = chosen(ours.url, "uploads")
    assert any(row.variant.client for row in choice.rows[0][1])
    host.name = None
    with pytest.raises(Exception, match="it POSTs, which is for a host that says"):
        hosted.choose(options(ours.url, "uploads"), host)


def test_host_that_is_restarted_in_a_round_makes_it_invalid(
    generator, monkeypatch, undisturbed, ours
):
    host, choice = chosen(ours.url, "blocking-call")
    running, watch = [ours], measuring.watch

    def restarted(*args):
        if running == [ours]:
            servers.stop(running)
            running.append(servers.start(UVICORN, ours.environ, port=ours.port, log=ours.log))
            servers.wait_until_ready(running[1])
        return watch(*args)

    monkeypatch.setattr(measuring, "watch", restarted)
    try:
        first, second, *_ = rounds_of(generator, host, choice)
    finally:
        servers.stop(running[1:])
    assert any("it was restarted in between" in reason for reason in first.broken)
    assert faults(second) == []


@pytest.mark.long
def test_host_that_stays_away_ends_the_run_after_a_round_that_says_so(generator, monkeypatch, ours):
    host, choice = chosen(ours.url, "blocking-call")
    monkeypatch.setattr(host_module, "AWAY_S", 0.1)
    watch = measuring.watch

    def without_it(*args):
        servers.stop([ours])
        return watch(*args)

    monkeypatch.setattr(measuring, "watch", without_it)
    measured = []
    with pytest.raises(HostError, match="it stays away for"):
        rounds_of(generator, host, choice, found=measured)
    (round_,) = measured
    assert any("it went away: " in reason for reason in round_.broken)


def test_foreign_urls_are_rows_of_their_own_and_only_got(generator, foreign, undisturbed):
    host, choice = chosen(foreign.url, urls=["/orders/?page=2", "/"])
    measured = rounds_of(generator, host, choice)
    assert {round_.variant for round_ in measured} == {"get_orders_page_2", "get"}
    assert [faults(round_) for round_ in measured] == [[]] * len(measured)
    assert {method for method, _ in foreign.asked} == {"GET"}
    assert {path for _, path in foreign.asked} == {"/orders/?page=2", "/"}
    assert not any(round_.bystander for round_ in measured)


@pytest.mark.long
def test_foreign_bystander_is_what_was_asked_for(generator, foreign, undisturbed):
    host, choice = chosen(foreign.url, urls=["/orders/"], bystander="/")
    round_, *_ = rounds_of(generator, host, choice)
    assert round_.bystander_answers()
    assert ("GET", "/") in foreign.asked


def test_no_more_is_sent_than_was_said(generator, foreign):
    host, choice = chosen(foreign.url, urls=["/orders/"])
    ((comparison, (row,)),) = choice.rows
    few = replace(choice, rows=[(comparison, [replace(row, max_requests=30)])])
    plan = replace(PLAN, looks=(1,))
    round_, *_ = measured = rounds_of(generator, host, few, plan)
    assert any("its 30 requests, which are the most" in reason for reason in round_.broken)
    extent = hosted.extent_of(host, few.rows[0][1], plan, None)
    assert len(foreign.asked) <= len(measured) * (30 + hosted.BESIDE) <= extent.most_requests


def test_of_many_users_only_those_that_were_asked_for_come():
    host = host_of("http://127.0.0.1:1")
    of_itself = hosted.choose(options(host.url, "many-waiting"), host)
    assert max(row.users for _, rows in of_itself.rows for row in rows) <= hosted.MAX_USERS
    asked = hosted.choose(options(host.url, "many-waiting", users=500), host)
    assert {row.users for _, rows in asked.rows for row in rows} == {500}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/missing/", "answers with 404: there is no such page"),
        ("/private/", "answers with 403: ask for what everybody may see"),
        ("/account/", "sends to the login"),
        ("/old/", "sends elsewhere (301 to /orders/): ask for /orders/"),
        ("/elsewhere/", "give --host https://www.example.org"),
        ("/broken/", "answers with 500 (Server Error): its log says why"),
        ("/often/", "limits how often one asks"),
    ],
)
def test_what_cannot_be_measured_is_said_before_any_load(foreign, path, said):
    with pytest.raises(HostError) as error:
        chosen(foreign.url, urls=[path])
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(foreign.asked) == 1


def test_host_that_does_not_serve_this_project_is_not_asked_for_its_comparisons(foreign):
    with pytest.raises(HostError, match=r"does not serve this project .* with 404"):
        chosen(foreign.url, "blocking-call")
    assert foreign.asked == [("GET", "/bystander/")]
