"""`compare --from FILE`: what a result says again, whatever became of its pair; and `--null`."""

import gzip
import json
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from comparisons import result_store
from comparisons.pairs import blocking_call
from comparisons.registry import Expectation
from comparisons.result import Hold
from loadtests.judging.declared import Declared
from loadtests.running.schedule import FULL
from tests.support.commands import python
from tests.support.made import made_result, made_round, rows_of
from tests.support.results import HOLD

REFERENCE = settings.RESULTS_DIR / "reference.json"
AT_LEAST_5 = Expectation(
    blocking_call.async_native,
    "throughput",
    of=blocking_call.async_blocking,
    at_least=5,
    why="theory",
)
# As if its pair were gone since: no comparison has this slug, this title or this variant.
GONE = replace(
    Declared.of(replace(blocking_call.comparison, expectations=[AT_LEAST_5])),
    comparison="gone-pair",
    title="What it was called then",
    variants=("async_native", "async_blocking"),
)
RATES = {("async_native", "asgi-uvicorn"): 95, ("async_blocking", "asgi-uvicorn"): 10}
HOLDS = "✓ async_native serves 9.5 times as many requests a second as async_blocking"
OWN = "the figures are the file's own"


def made_rounds(slug="gone-pair", rates=RATES):
    return [
        made_round(name, block, rate, comparison=slug, deployment=deployment)
        for (name, deployment), rate in rates.items()
        for block in (1, 2, 3, 4)
    ]


def saved(path, measured, declared=GONE, sampled=None):
    """A result file of these rounds, with the samples of `sampled`, or of all; its content.

    What was asked of other comparisons than `declared` it does not say.
    """
    slugs = dict.fromkeys(round_.comparison for round_ in measured)
    asked = [replace(declared, comparison=slug) for slug in slugs]
    result = made_result(asked, measured, FULL)
    result.declared = [declared.as_row()]
    result_store.save(path, result, rows_of(measured if sampled is None else sampled))
    return json.loads(path.read_text())


def rewrite(path, result):
    """Change a result file, and leave its samples."""
    path.write_text(json.dumps(result))


def again(path, *arguments):
    return python("manage.py", "compare", "--from", str(path), *arguments)


@pytest.fixture
def said(capsys):
    """What the command says of a file, in this process; it must not refuse it."""

    def run(path, *arguments):
        with pytest.raises(SystemExit) as ended:
            call_command("compare", "--from", str(path), *arguments)
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def refusal(path, *arguments):
    """The one line that refuses a file."""
    with pytest.raises(CommandError) as refused:
        call_command("compare", "--from", str(path), *arguments)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "result.json"


def test_shipped_result_is_printed_without_its_samples():
    done = again(REFERENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"reference.samples.jsonl.gz is not there: {OWN}" in done.stdout
    verdicts = [row["verdict"] for row in json.loads(REFERENCE.read_text())["verdicts"]]
    held, refuted = (verdicts.count(word) for word in ("holds", "refuted"))
    assert done.stdout.splitlines()[-1].startswith(f"{held} held, {refuted} refuted, ")
    assert sum(line[:1] in "✓✗?–" for line in done.stdout.splitlines() if line) == len(verdicts)


def test_one_comparison_of_a_result_is_printed_alone(said):
    out = said(REFERENCE, "cache")
    assert "\ncache: A cache's client (4 users, 0, 1 and 10 ms away)" in out
    assert "blocking-call" not in out
    assert "has no comparison 'cach'; did you mean 'cache'?" in refusal(REFERENCE, "cach")


def test_pair_that_is_gone_has_the_words_of_its_own_time(path, said):
    saved(path, made_rounds())
    out = said(path)
    assert "gone-pair: What it was called then (6 users)" in out
    assert HOLDS in out
    assert OWN not in out
    assert out.splitlines()[-1] == "1 held, 0 refuted, 0 inconclusive, 0 invalid"


def test_figures_are_computed_from_the_samples(path, said):
    result = saved(path, made_rounds())
    result["measurements"], result["verdicts"] = result["measurements"][:1], []
    rewrite(path, result)
    assert HOLDS in said(path)


def test_result_is_written_again_as_its_samples_give_it(path, said):
    result = saved(path, made_rounds())
    rewrite(
        path,
        result | {"measurements": [row | {"timeline": None} for row in result["measurements"]]},
    )
    said(path, "--output", str(path.with_name("again.json")))
    assert json.loads(path.with_name("again.json").read_text()) == result
    assert "never overwritten" in refusal(path, "--output", str(path))


def test_what_held_the_loop_comes_from_the_samples_of_whichever_start_looked(path, said):
    first, *rest = made_rounds()
    result = saved(path, [replace(first, held=[Hold.from_row(HOLD)]), *rest])
    held = {row["variant"]: row["held"] for row in result["measurements"]}
    others = {row.variant: None for row in rest if row.variant != first.variant}
    assert held == {**others, first.variant: [HOLD]}
    rewrite(path, result | {"measurements": result["measurements"][:1]})
    assert f"{first.variant} held the event loop for 21 ms a request" in said(path)


def test_two_deployments_have_a_verdict_each(path, said):
    rates = RATES | {
        ("async_native", "asgi-gunicorn"): 30,
        ("async_blocking", "asgi-gunicorn"): 10,
    }
    saved(path, made_rounds(rates=rates))
    out = said(path)
    assert f"{HOLDS} on asgi-uvicorn" in out
    assert f"{HOLDS} on asgi-gunicorn".replace("✓", "✗").replace("9.5", "3") in out


def test_broken_samples_are_named_and_left_alone(path, said):
    saved(path, made_rounds())
    samples = result_store.samples_path(path)
    samples.write_bytes(samples.read_bytes()[:-20])
    out = said(path)
    assert HOLDS in out
    assert f"{samples} is broken or ends too early: " in out
    assert OWN in out


def test_comparison_without_samples_has_the_figures_of_the_file(path, said):
    sampled = made_rounds()
    saved(path, sampled + made_rounds("other-pair"), sampled=sampled)
    out = said(path)
    assert "gone-pair: What it was called then" in out
    assert "\nother-pair (6 users)" in out
    assert out.count(HOLDS) == 2
    assert "of other-pair it has no samples or no expectations: " + OWN in out


def test_file_with_the_promised_keys_alone_is_printed(path, said):
    extra = ("workers", "worker_threads", "round_trip", "waiting", "rate", "send_delay_ms")
    result = saved(path, made_rounds(), sampled=[])
    for row in result["measurements"]:
        for key in extra:
            del row[key]
    for verdict in result["verdicts"]:
        for key in ("expected", "deployment", "rounds", "answers", "open_because", "needed_rounds"):
            del verdict[key]
    del result["declared"], result["plan"]
    rewrite(path, result)
    assert "✓ async_native throughput of async_blocking at least 5: 9.5 (" in said(path)


PROMISED = {
    "schema": 1,
    "started": "2026-11-22T21:30:05Z",
    "environment": {},
    "measurements": [],
    "verdicts": [],
}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[]",
        "5",
        "null",
        "{}",
        '{"schema": 2}',
        '{"schema": 1}',
        json.dumps(PROMISED | {"measurements": 5}),
        json.dumps(PROMISED | {"measurements": [{"comparison": "[/x]"}]}),
        json.dumps(PROMISED | {"measurements": [[]]}),
        json.dumps(PROMISED | {"declared": [{"comparison": "x"}]}),
        json.dumps(PROMISED | {"declared": "x"}),
        "[" * 100_000,
        "\x00\xff",
    ],
    ids=lambda content: content[:40],
)
def test_foreign_file_is_refused_in_one_line(content, path):
    path.write_text(content, encoding="latin-1")
    assert str(path) in refusal(path)


def test_refusal_of_a_file_is_one_line_on_stderr(path):
    path.write_text("5")
    done = again(path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{path}: not a result file: " in line


def test_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    none = tmp_path / "none.json"
    assert refusal(none) == f"{none}: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("verdicts", "verdict", "maybe"),
        ("verdicts", "measured", "much"),
        ("measurements", "users", "many"),
        ("measurements", "server", None),
        ("measurements", "latency_ms", 5),
        ("measurements", "held", [HOLD | {"ms": "long"}]),
        ("measurements", "held", 5),
    ],
)
def test_odd_value_is_refused_in_one_line(part, key, value, path):
    result = saved(path, made_rounds(), sampled=[])
    result[part][0][key] = value
    rewrite(path, result)
    assert f"{path}: not a result file: " in refusal(path)


@pytest.mark.parametrize(
    ("part", "key"),
    [("verdicts", "expectation"), ("verdicts", "because"), ("measurements", "deployment")],
)
def test_text_of_a_foreign_file_is_no_markup(part, key, path, said):
    result = saved(path, made_rounds(), sampled=[])
    result[part][0][key] = "[/x]"
    result["verdicts"][0]["expected"] = None  # what is said instead
    rewrite(path, result)
    assert "[/x]" in said(path)


@pytest.mark.long
def test_each_variant_against_itself_on_each_deployment(path):
    """A/A, through the command; and the same words again from its file."""
    deployments = ["asgi-uvicorn", "asgi-gunicorn"]
    chosen = [word for name in deployments for word in ("--deployment", name)]
    arguments = ["across-requests", "--quick", *chosen, "--output", str(path)]
    done = python("manage.py", "compare", "--null", *arguments)
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert {(row["variant"], row["deployment"]) for row in result["measurements"]} == {
        (f"async_sequential{suffix}", deployment)
        for suffix in ("", "_again")
        for deployment in deployments
    }
    expected = "async_sequential_again throughput of async_sequential between 0.95 and 1.05"
    assert {row["expectation"] for row in result["verdicts"]} == {
        f"{expected} on {deployment}" for deployment in deployments
    }
    with gzip.open(result_store.samples_path(path), "rt") as file:
        assert all(json.loads(line)["samples"] for line in file)
    words = done.stdout.partition("\nresult: ")[0].split()
    assert again(path).stdout.split()[: len(words)] == words
