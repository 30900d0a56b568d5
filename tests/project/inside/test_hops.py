"""Whose the changes of thread are, and what it costs a request to say so, or not to."""

import inspect

import pytest
from django.middleware.common import CommonMiddleware

from project.inside.advised import probes


@pytest.fixture
def hop(settings):
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    return CommonMiddleware(lambda request: None).process_request


def test_a_hop_is_its_middlewares(hop):
    name = "django.middleware.common.CommonMiddleware"
    of = probes.Window()
    assert probes._whose(of, hop, None) == (name, "")
    assert probes._place_of(of.named[name]).startswith("django/middleware/common.py:")


def test_no_source_is_read_before_the_end(hop, monkeypatch):
    """It takes ms, which would be taken for the requests' own."""
    read = []
    monkeypatch.setattr(inspect, "getsourcelines", read.append)
    probes._whose(probes.Window(), hop, None)
    assert read == []


@pytest.fixture
def looking():
    """A window that has looked into its first requests already."""
    of = probes.Window()
    of.looks = True
    assert all(of.chooses(of.began) for _ in range(probes.FIRST))
    return of


def test_after_the_first_only_so_many_requests_are_looked_into_as_the_budget_allows(looking):
    looking.looking_s = 0.1
    assert not probes.Request(looking, None).of
    assert looking.chooses(looking.began + 0.1 / probes.BUDGET)


def test_a_window_that_only_counts_looks_into_none():
    of = probes.Window()
    assert not probes.Request(of, None).of
    assert of.looked_into == 0


def test_a_hop_of_a_request_that_is_not_looked_into_is_left_as_it_is(looking):
    looking.looking_s = 0.1
    hop = object()
    token = probes.current.set(probes.Request(looking, None))
    try:
        assert probes._to_thread(lambda *given: given)(hop, 1) == (hop, 1)
        assert probes._to_loop(lambda *given: given)(hop, 1) == (hop, 1)
    finally:
        probes.current.reset(token)
    assert looking.hops == {}
