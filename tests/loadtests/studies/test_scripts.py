"""The studies: `python -m loadtests.studies.…`."""

import re
import sys

import pytest

from comparisons.pairs import streaming_response
from loadtests.studies import (
    batch_sizes,
    first_byte,
    more_generators,
    pinning,
    probe_cost,
    second_opinion,
)
from project import command
from tests.support.commands import python
from tests.support.made import made_round


def test_without_wrk_there_is_no_second_opinion(monkeypatch, capsys):
    monkeypatch.setattr(second_opinion.shutil, "which", lambda _: None)
    assert second_opinion.main() == 2
    assert capsys.readouterr().err == "wrk is not installed (Debian: apt-get install wrk)\n"


@pytest.mark.long
@pytest.mark.needs("wrk")
def test_the_second_opinion_measures_the_same_view_with_wrk():
    done = python("-m", "loadtests.studies.second_opinion")
    # Whether they agree is for a quiet machine to say: exit status 0 or 1.
    assert done.returncode in (0, 1), done.stderr
    ours, theirs = re.search(r"locust ([\d.]+) .* wrk ([\d.]+) ", done.stdout).groups()
    # Six users of a view that waits for 100 ms: neither can exceed Little's law by much.
    assert 0 < float(ours) < 63
    assert 0 < float(theirs) < 63


@pytest.mark.parametrize(
    "script",
    [
        "first_byte",
        pytest.param("second_opinion", marks=[pytest.mark.needs("wrk"), pytest.mark.long]),
        *(
            pytest.param(script, marks=pytest.mark.long)
            for script in ("batch_sizes", "pinning", "probe_cost")
        ),
    ],
)
def test_without_a_database_a_script_ends_in_one_line(script):
    nowhere = {"DATABASE_URL": "postgres://127.0.0.1:1/none", "SERVICES_CHECKED": ""}
    done = python("-m", f"loadtests.studies.{script}", **nowhere)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "DATABASE_URL" in line


def test_an_interrupted_script_ends_without_a_traceback():
    with pytest.raises(SystemExit) as end:
        command.run(interrupted)
    assert end.value.code == 130


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.long
def test_the_first_byte_of_every_variant_comes_before_the_last(monkeypatch, capsys):
    monkeypatch.setattr(first_byte, "TURNS", 1)
    first_byte.main()
    times = dict(re.findall(r"(\w+) +│ +([\d.]+ +│ +[\d.]+)", capsys.readouterr().out))
    assert set(times) == {v.name for v in streaming_response.comparison.variants}
    for pair in times.values():
        first, last = map(float, pair.split("│"))
        assert 0 < first <= last


@pytest.mark.long
def test_every_batch_size_is_measured_at_every_distance(monkeypatch, capsys):
    monkeypatch.setattr(batch_sizes, "ROUND_TRIPS", (0, 5))
    monkeypatch.setattr(batch_sizes, "BATCHES", (100, 1_000))
    monkeypatch.setattr(batch_sizes, "TURNS", 1)
    batch_sizes.main()
    cells = r"(\d+) +│ +([\d,]+) +│ +([\d,]+) "
    rows = re.findall(cells, capsys.readouterr().out)
    rates = {(trip, batch): int(rate.replace(",", "")) for trip, batch, rate in rows}
    assert set(rates) == {(trip, batch) for trip in "05" for batch in ("100", "1,000")}
    # A batch costs a round trip of 5 ms: no more than two hundred batches a second.
    assert rates["5", "100"] <= 200 * 100


def test_how_far_apart_two_rounds_of_one_view_are():
    """100 against 80 is a quarter apart, and 80 against 100 a fifth; a round alone says nothing."""
    run = [
        *(made_round("sync", 1, 100), made_round("sync_again", 1, 80)),
        *(made_round("sync", 2, 80), made_round("sync_again", 2, 100)),
        made_round("sync", 3, 50),
    ]
    assert pinning.differences(run) == pytest.approx([0.25, 0.2])
    assert pinning.throughputs(run) == pytest.approx({("blocking-call", "sync"): 80})


@pytest.mark.long
def test_the_probes_cost_is_measured_in_each_state_of_theirs(monkeypatch, capsys):
    monkeypatch.setattr(probe_cost, "WINDOW_S", 0.1)
    monkeypatch.setattr(probe_cost, "TURNS", 2)
    probe_cost.main()
    out = capsys.readouterr().out
    assert all(path in out for paths in probe_cost.PATHS.values() for path in paths)
    assert "nan" not in out


def test_what_the_probes_cost_is_throughput_that_is_lost_and_cpu_time_that_is_more():
    """A half and a quarter are lost in the two turns: by the ratios' geometric mean, 39 %."""
    off = [probe_cost.Served(100, 0.010), probe_cost.Served(200, 0.010)]
    looking = [probe_cost.Served(50, 0.011), probe_cost.Served(150, 0.012)]
    found = {("/", "off"): off, ("/", "looking"): looking}
    lost = probe_cost.lost(found, "/", "looking")
    assert lost.mean == pytest.approx(0.388, abs=0.001)
    assert lost.low < lost.mean < lost.high
    more = probe_cost.more_cpu(found, "/", "looking")
    assert more.mean == pytest.approx(0.149, abs=0.001)


@pytest.mark.long
def test_more_generators_are_measured_one_after_the_other(monkeypatch, capsys):
    monkeypatch.setattr(more_generators, "TURNS", 2)
    monkeypatch.setattr(sys, "argv", ["more_generators", "env", "env"])
    more_generators.main()
    out = capsys.readouterr().out
    assert "times one's" in out
    assert "nan" not in out


def test_more_generators_are_told_by_how_many_times_one():
    alone, both = [1000.0, 2000.0], [1500.0, 4000.0]  # 1.5 and 2 times: 1.73
    assert more_generators.growth([alone, both])[1].mean == pytest.approx(3**0.5)
