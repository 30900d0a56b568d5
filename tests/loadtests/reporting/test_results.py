"""The result file and its samples, on disks that fail."""

import json
import random
import resource
import shutil
from contextlib import contextmanager

import pytest

from loadtests.judging.rounds import Sample
from loadtests.reporting import results
from tests.loadtests.judging.test_verdicts import made_round

RESULT = {"schema": results.SCHEMA, "options": {}, "plan": {"window": 0.5, "looks": [3]}}


def measured(slug):
    """Rounds whose samples cannot be compressed to nothing."""
    chance = random.Random(slug)
    samples = [Sample(chance.random(), chance.random(), 200, 1, None) for _ in range(500)]
    return [made_round(comparison=slug, block=block, samples=samples) for block in (1, 2, 3)]


def save(path, *slugs):
    """What a run saves after the last of these comparisons; the remark."""
    rows = [{"comparison": slug} for slug in slugs]
    return results.save(path, RESULT | {"measurements": rows}, measured(slugs[-1]))


@contextmanager
def room_for(size):
    """This process can write no file beyond this size: the last write is a part of what it was."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "result.json"


def test_save_that_fails_leaves_the_earlier_comparison_whole(path):
    save(path, "cache")
    files = {file: file.read_bytes() for file in path.parent.iterdir()}
    full = results.samples_path(path).stat().st_size + 1000
    with (
        room_for(full),
        pytest.raises(results.SaveError, match="File too large; what was measured before is there"),
    ):
        save(path, "cache", "gil")
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == files
    assert results.load(path).rounds == measured("cache")


def test_save_that_fails_at_first_says_that_nothing_is_kept(path):
    with room_for(1000), pytest.raises(results.SaveError, match=r"cache .*; nothing is kept"):
        save(path, "cache")
    results.release(path)
    assert list(path.parent.iterdir()) == []


def test_folder_that_was_deleted_is_made_again(path):
    assert save(path, "cache") == ""
    shutil.rmtree(path.parent)
    assert "earlier comparisons have no samples" in save(path, "cache", "gil")
    assert [row["comparison"] for row in json.loads(path.read_text())["measurements"]] == [
        "cache",
        "gil",
    ]
    assert results.load(path).rounds == measured("gil")


def test_samples_that_end_anywhere_are_read_to_the_last_whole_comparison(path):
    save(path, "cache")
    samples = results.samples_path(path)
    first = samples.stat().st_size
    save(path, "cache", "gil")
    whole = samples.read_bytes()
    for end in range(first + 1, len(whole), 100):
        samples.write_bytes(whole[:end])
        saved = results.load(path)
        assert saved.rounds == measured("cache")
        assert saved.without_rounds == f"{samples} is broken or ends too early"
    samples.write_bytes(whole)
    assert results.load(path) == results.Saved(
        json.loads(path.read_text()), measured("cache") + measured("gil")
    )


def test_samples_that_are_garbage_are_no_rounds(path):
    save(path, "cache")
    samples = results.samples_path(path)
    samples.write_bytes(b"no gzip file")
    assert results.load(path).rounds == []
    assert "is broken" in results.load(path).without_rounds
