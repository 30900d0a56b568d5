"""Whose the changes of thread are, and what it costs a request to say so."""

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
