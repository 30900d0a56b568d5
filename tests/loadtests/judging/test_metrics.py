"""What made-up rounds say."""

import pytest

from loadtests.judging.metrics import METRICS, throughput
from tests.support.made import made_round


def test_throughput_is_exact_for_evenly_spaced_answers():
    assert throughput(made_round(rate=7.0)) == pytest.approx(7)


def test_memory_is_what_the_server_grew_by():
    assert METRICS["memory"](made_round()) == 10
