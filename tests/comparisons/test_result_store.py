"""The result file and its samples: what is read back, and disks that fail."""

import gzip
import json
import random
import resource
import shutil
from contextlib import contextmanager

import pytest
from django.conf import settings

from comparisons import result_store
from comparisons.result_store import SaveError
from loadtests.judging.declared import Declared
from loadtests.judging.rounds import Round, Sample
from loadtests.running.schedule import QUICK
from tests.support.made import made_result, made_round, rows_of


def measured(slug):
    """Rounds whose samples cannot be compressed to nothing."""
    chance = random.Random(slug)
    samples = [Sample(chance.random(), chance.random(), 200, 1, None) for _ in range(500)]
    return [made_round(comparison=slug, block=block, samples=samples) for block in (1, 2, 3)]


def save(path, *slugs):
    """What a run saves after the last of these comparisons; the remark."""
    declared = [Declared(slug, "", (6,), (0,), ("async_native",), (), ()) for slug in slugs]
    everything = [round_ for slug in slugs for round_ in measured(slug)]
    result = made_result(declared, everything, QUICK)
    return result_store.save(path, result, rows_of(measured(slugs[-1])))


def rounds_of(path):
    """The rounds that can be read, and why others cannot."""
    return result_store.read_samples(path, Round.from_row)


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
    full = result_store.samples_path(path).stat().st_size + 1000
    with (
        room_for(full),
        pytest.raises(SaveError, match="File too large; what was measured before is there"),
    ):
        save(path, "cache", "gil")
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == files
    assert rounds_of(path) == (measured("cache"), "")


def test_save_that_fails_at_first_says_that_nothing_is_kept(path):
    with room_for(1000), pytest.raises(SaveError, match=r"cache .*; nothing is kept"):
        save(path, "cache")
    result_store.release(path)
    assert list(path.parent.iterdir()) == []


def test_folder_that_was_deleted_is_made_again(path):
    assert save(path, "cache") == ""
    shutil.rmtree(path.parent)
    assert "earlier comparisons have no samples" in save(path, "cache", "gil")
    assert [row["comparison"] for row in json.loads(path.read_text())["measurements"]] == [
        "cache",
        "gil",
    ]
    assert rounds_of(path) == (measured("gil"), "")


def test_samples_that_end_anywhere_are_read_to_the_last_whole_comparison(path):
    save(path, "cache")
    samples = result_store.samples_path(path)
    first = samples.stat().st_size
    save(path, "cache", "gil")
    whole = samples.read_bytes()
    for end in range(first + 1, len(whole), 100):
        samples.write_bytes(whole[:end])
        why = f"{samples} is broken or ends too early"
        assert rounds_of(path) == (measured("cache"), why)
    samples.write_bytes(whole)
    assert rounds_of(path) == (measured("cache") + measured("gil"), "")


def test_samples_that_are_garbage_are_no_rounds(path):
    save(path, "cache")
    samples = result_store.samples_path(path)
    samples.write_bytes(b"no gzip file")
    rounds, why = rounds_of(path)
    assert rounds == []
    assert "is broken" in why


def test_samples_of_older_versions_are_read_without_what_nobody_used(path):
    save(path, "cache")
    older = rows_of(measured("cache"))
    for row in older:
        row["server"]["pool_queued"] = 0.5
        row["gone"] = None
    lines = "".join(json.dumps(row) + "\n" for row in older)
    result_store.samples_path(path).write_bytes(gzip.compress(lines.encode()))
    assert rounds_of(path) == (measured("cache"), "")


def without_added(new, old):
    """What was read, without keys that the file lacks, whose value is then null."""
    if isinstance(new, dict):
        assert all(new[key] is None for key in new.keys() - old.keys())
        return {key: without_added(new[key], old[key]) for key in new if key in old}
    if isinstance(new, list):
        return [without_added(one, other) for one, other in zip(new, old, strict=True)]
    return new


def test_reference_is_read_and_written_again_as_it_is():
    """It may be older than a key that was added since."""
    path = settings.RESULTS_DIR / result_store.REFERENCE
    content = json.loads(path.read_text())
    again = json.loads(json.dumps(result_store.read(path).as_content()))
    assert without_added(again, content) == content
