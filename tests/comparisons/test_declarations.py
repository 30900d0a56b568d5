"""What is declared wrongly is refused in one line, which says where and what would be right."""

import inspect
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from comparisons import floor, loading, pairs
from comparisons.declarations import DeclarationError
from comparisons.pairs import COMPARISONS, cpu_bound
from comparisons.pairs.blocking_call import async_native, sync
from comparisons.registry import (
    MAX_RATE,
    MAX_USERS,
    MAX_WAITING_USERS,
    Client,
    Comparison,
    Expectation,
    Variant,
)
from project.processes import BASE_DIR

LIMITS = {"at_least": 1}
PLAIN = "comparisons.floor:plain"


def no_request():
    raise NotImplementedError


def declared(variant=None, expectation=None, **comparison):
    """A comparison that is right but for these changes."""
    variants = [
        Variant(sync, "wsgi-threads", wait=0.1),
        Variant(**{"view": async_native, "deployment": "asgi-uvicorn"} | (variant or {})),
    ]
    sides = {"variant": "sync", "metric": "throughput", "of": "async_native", "why": "theory"}
    expectations = [Expectation(**sides | (expectation or LIMITS))]
    fields = {"users": 4, "variants": variants, "expectations": expectations}
    return Comparison(**fields | comparison)


def expecting(**changes):
    return {"expectation": LIMITS | changes}


def test_what_is_declared_rightly_is_not_refused():
    assert declared().cases == [(4, 0)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # Reasons, and bounds that the machine decides
        (expecting(why=" "), "it says no reason for its bound"),
        (
            expecting(at_least="near"),
            "NEAR is near to what theory serves: it takes of='ceiling' or of='queue'",
        ),
        (
            {"expectation": {"between": "same", "of": "ceiling"}},
            "SAME compares two variants: it takes of=",
        ),
        (
            {
                "expectation": {"between": "same", "variant": "async_native", "of": "sync"},
            },
            "what is near, or the same, takes async_native's wait=..., or work=...",
        ),
        (
            expecting(metric="connections"),
            "connections is expected as a value, and not of anything",
        ),
        # Variants
        ({"variant": {"view": "sync"}}, "a variant's view is a function, not 'sync'"),
        ({"variant": {"view": partial(sync)}}, "a variant's view is a function"),
        ({"variant": {"view": no_request}}, "no_request() cannot be called with the request"),
        ({"variant": {"deployment": "uvicorn"}}, "did you mean 'asgi-uvicorn'?"),
        ({"variant": {"name": "my view"}}, "other characters than letters, digits and _"),
        ({"variant": {"name": "sync"}}, "there are two variants 'sync'"),
        ({"variant": {"view": sync}}, "there are two variants 'sync'"),
        ({"variant": {"name": "sync_native"}}, "a view that is async: its name says sync"),
        ({"variant": {"view": cpu_bound.async_blocking}}, "a comparison is one module"),
        ({"variant": {"wait": 0}}, "wait is 0;"),
        ({"variant": {"wait": "0.1"}}, "wait is '0.1';"),
        ({"variant": {"slots": 0}}, "slots is 0;"),
        ({"variant": {"workers": -1}}, "workers is -1;"),
        ({"variant": {"threads": 1.5}}, "threads is 1.5;"),
        ({"variant": {"threads": 4}}, "asgi-uvicorn has no threads to set"),
        ({"variant": {"database": "pol"}}, "did you mean 'pool'?"),
        ({"variant": {"pitfall": 1}}, "pitfall is 1;"),
        ({"variant": {"may_fail": "no"}}, "may_fail is 'no';"),
        ({"variant": {"environ": {"POOL_SIZE": 4}}}, "environ has 'POOL_SIZE': 4;"),
        ({"variant": {"environ": "POOL_SIZE=4"}}, "environ is 'POOL_SIZE=4';"),
        ({"variant": {"app": "floor.plain"}}, "app is 'floor.plain'; it is \"module:application\""),
        ({"variant": {"app": ""}}, "app is '';"),
        ({"variant": {"app": floor.plain}}, "app is <function"),
        (
            {"variant": {"app": PLAIN, "deployment": "runserver"}},
            "runserver serves Django only",
        ),
        ({"variants": [Variant(async_native, "asgi-uvicorn", app=PLAIN)]}, "no variants of Django"),
        # Raw users
        ({"raw": 1}, "raw is 1; it is True or False"),
        ({"raw": True, "waiting": lambda users: 1.0}, "with waiting=, each asks once"),
        (expecting(metric="bystander", of=None) | {"raw": True}, "no bystander stands beside raw"),
        ({"raw": True, "variant": {"client": Client()}}, "they have no client="),
        (expecting(metric="first_byte", of=None) | {"raw": True}, "do not look when the first"),
        # Clients, open loops and ended connections
        ({"variant": {"client": "POST"}}, "client is 'POST'; it is Client(...)"),
        ({"users": None}, "it says no load: users=..., or rate=..."),
        ({"rate": 5}, "an open loop has a rate=, and no users"),
        ({"users": None, "rate": 0}, "rate is 0;"),
        ({"users": None, "rate": MAX_RATE + 1}, "rate is 10001;"),
        ({"users": None, "rate": 5, "raw": True}, "an open loop has a rate=, and no users"),
        (
            {"users": None, "rate": 5, "variant": {"client": Client(leaves_after=1)}},
            "who leaves comes again: it takes users=, and no rate=",
        ),
        (expecting(metric="backlog_growth"), "a backlog grows in an open loop only"),
        (expecting(metric="failed", of=None), "only if it says may_fail=True"),
        ({"connections_end": 1}, "connections_end is 1; it is True or False"),
        # Expectations
        (expecting(variant="async_nativ"), "did you mean 'async_native'?"),
        (expecting(variant=5), "not of 5"),
        (expecting(variant=("sync", 5)), "not of 5"),
        (expecting(variant=()), "it speaks of no variant"),
        (expecting(of=5), "not of 5"),
        (expecting(of="async_nativ"), "did you mean 'async_native'?"),
        (expecting(of="ceilin"), "did you mean 'ceiling'?"),
        (expecting(of="sync"), "it compares 'sync' with itself"),
        (expecting(metric="thruput"), "did you mean 'throughput'?"),
        (expecting(metric="latency", of="ceiling"), "ceiling is compared with throughput"),
        (expecting(of="wait"), "not throughput"),
        (
            expecting(variant="async_native", metric="latency", of="wait"),
            "async_native declares no wait: it takes wait=...",
        ),
        (expecting(variant="async_native", of="ceiling"), "async_native declares no ceiling"),
        (expecting(metric="latency", of="work"), "sync declares no work: it takes"),
        (expecting(metric="latency", of="queue"), "queue is compared with throughput"),
        (expecting(variant="async_native", of="queue"), "async_native declares no queue"),
        (expecting(of="queue") | {"users": None, "rate": 5}, "and the comparison's users="),
        (expecting(metric="failures", of=None), "only if it says may_fail=True"),
        ({"expectation": {"metric": "latency"}}, "it has no bound: give one of"),
        (expecting(at_most=2), "it has at_least and at_most: give one of"),
        (expecting(at_least="1"), "the bound '1' is no number"),
        (expecting(at_least=float("nan")), "the bound nan is no number"),
        ({"expectation": {"between": (2, 1)}}, "it lies between 2 and 1: nothing does"),
        ({"expectation": {"between": 2}}, "between is 2; it is a pair"),
        (expecting(at_least=lambda users: users / 0), "fails: ZeroDivisionError"),
        (expecting(at_least=lambda users: "1"), "its bound for 4 users is '1', and no number"),
        (expecting(users=5), "users=5 is no case of the comparison; did you mean '4'?"),
        (expecting(round_trip=5), "round_trip=5 is no case of the comparison"),
        (expecting(users=0), "users is 0;"),
        # The load
        ({"users": 0}, "users is 0; it is a whole number from 1 to 10,000"),
        ({"users": -1}, "users is -1;"),
        ({"users": 4.5}, "users is 4.5;"),
        ({"users": True}, "users is True;"),
        ({"users": [4, 8]}, "users is [4, 8];"),
        ({"users": MAX_USERS + 1}, "users is 10001;"),
        ({"users": MAX_WAITING_USERS + 1, "waiting": lambda users: 1}, "users is 50001;"),
        (
            {"waiting": lambda users: 1, "variant": {"client": Client()}},
            "with waiting=, users send a GET and wait: they have no client=",
        ),
        ({"users": ()}, "users has no case"),
        ({"users": (4, 4)}, "users has 4 twice"),
        ({"round_trip": -1}, "round_trip is -1;"),
        ({"round_trip": float("inf")}, "round_trip is inf;"),
        ({"work": 5}, "work is 5; it is a function"),
        ({"waiting": 5}, "waiting is 5; it is a function"),
        ({"waiting": lambda users: 0}, "waiting(4) is 0;"),
        ({"waiting": lambda users: users}, "requests that only wait have no throughput"),
        ({"variants": [], "expectations": []}, "it has no variants"),
        ({"variants": "sync"}, "variants is 'sync'; it is a list"),
        ({"expectations": [5]}, "expectations has 5, which is no Expectation"),
    ],
)
def test_wrong_declaration_is_refused_in_one_line(changes, said):
    with pytest.raises(DeclarationError) as refused:
        declared(**changes)
    place, _, problem = str(refused.value).partition(": ")
    assert said in problem
    assert "\n" not in problem
    file, _, line = place.partition(":")
    assert file == "tests/comparisons/test_declarations.py"
    first = inspect.getsourcelines(declared)[1]
    assert first < int(line) < first + len(inspect.getsourcelines(declared)[0])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "PUT"}, "method is 'PUT'; it is GET or POST"),
        ({"method": "POST", "body_mb": -1}, "body_mb is -1;"),
        ({"method": "POST", "body_mb": 101}, "body_mb is 101;"),
        ({"body_mb": 1}, "a body is posted: it takes method='POST'"),
        ({"method": "POST", "body_mb": 1, "upload_s": -1}, "upload_s is -1;"),
        ({"upload_s": 1}, "it takes body_mb=..."),
        ({"leaves_after": 0}, "leaves_after is 0;"),
    ],
)
def test_wrong_client_is_refused_in_one_line(fields, said):
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(DeclarationError) as refused:
        Client(**fields)
    place, _, problem = str(refused.value).partition(": ")
    assert place == f"tests/comparisons/test_declarations.py:{line}"
    assert said in problem


def test_refusal_names_the_line_of_the_part_that_is_wrong():
    line = inspect.currentframe().f_lineno
    wrong = Expectation("sink", "throughput", at_least=1, why="theory")
    with pytest.raises(DeclarationError, match=f"test_declarations.py:{line + 1}: .* 'sink'"):
        Comparison(4, [Variant(sync, "wsgi-threads")], [wrong])


def test_replaced_declaration_is_checked_and_keeps_its_place():
    comparison = COMPARISONS["thread-hops"]  # none of its expectations names a number of users
    assert replace(comparison, users=3).place == comparison.place
    with pytest.raises(DeclarationError, match=f"{comparison.place}: users is 0;"):
        replace(comparison, users=0)


# --- Files


RIGHT = '''"""My own pair.

Claim: it is one.
Blocks: nothing.
Instead: copy it.
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


async def async_native(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[Expectation(async_native, "throughput", of=sync, at_least=0.9, why="theory")],
)
'''
NO_DOCSTRING = RIGHT[RIGHT.index("from django") :]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of pairs beside the project's."""
    monkeypatch.setattr(loading, "PAIRS", tmp_path)
    monkeypatch.setattr(loading, "ORDER", tmp_path / "__init__.py")
    monkeypatch.setattr(pairs, "__path__", [str(tmp_path)])
    (tmp_path / "__init__.py").write_text('GROUPS = load({\n    "Mine": ["my_pair"],\n})\n')
    yield tmp_path
    sys.modules.pop("comparisons.pairs.my_pair", None)


def test_file_that_is_right_is_loaded(folder):
    (folder / "my_pair.py").write_text(RIGHT)
    (module,) = loading.load({"Mine": ["my_pair"]})["Mine"]
    assert module.comparison.slug == "my-pair"


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        (
            '"wsgi-threads"',
            '"wsgi-threads", wiat=1',
            24,
            "Variant has no 'wiat'; did you mean 'wait'?",
        ),
        ("of=sync", "off=sync", 27, "Expectation has no 'off'; did you mean 'of'?"),
        ("users=4,", "", 21, "it says no load: users=..., or rate=..."),
        ("users=4", "users=FOUR", 22, "NameError: name 'FOUR' is not defined"),
        ("users=4", "users=(4", 21, "SyntaxError: "),
        (
            "import HttpRequest",
            "import HttpReqest",
            8,
            "ImportError: cannot import name 'HttpReqest'",
        ),
        ("from django.http", "from djano.http", 8, "ModuleNotFoundError: No module named 'djano'"),
        ("comparison = ", "comparisn = ", 1, "it has no `comparison = Comparison(...)`"),
        ("comparison = Comparison(", "comparison = dict(", 1, "it has no `comparison = Comp"),
        (RIGHT, NO_DOCSTRING, 1, "no docstring, which begins with a title"),
        ("Blocks:", "Block:", 1, "its docstring has no `Blocks: ...`"),
        ("Blocks:", "Note: x\nBlocks:", 1, "has Claim, Note, Blocks, Instead instead of"),
        (
            '"asgi-uvicorn"),\n    ],\n    expectations=[Expectation(async_native',
            '"asgi-uvicorn", name="native"),\n    ],\n    expectations=[Expectation("native"',
            25,
            "the name 'native' does not begin with its colour; did you mean 'async_native'?",
        ),
    ],
)
def test_wrong_file_is_refused_in_one_line(folder, right, wrong, line, said):
    file = folder / "my_pair.py"
    file.write_text(RIGHT.replace(right, wrong))
    assert file.read_text() != RIGHT
    with pytest.raises(DeclarationError) as refused:
        loading.load({"Mine": ["my_pair"]})
    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pair_whose_views_are_elsewhere_is_refused(folder):
    elsewhere = "from comparisons.pairs.blocking_call import async_native, sync"
    head, _, rest = RIGHT.partition("def sync")
    source = f"{head}{elsewhere}\n\ncomparison{rest.partition('comparison')[2]}"
    (folder / "my_pair.py").write_text(source)
    with pytest.raises(DeclarationError, match="its views are those of comparisons"):
        loading.load({"Mine": ["my_pair"]})


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            {"Mine": ["my_piar"]},
            "there is no comparisons/pairs/my_piar.py; did you mean 'my_pair'?",
        ),
        ({"Mine": ["my_pair"], "Too": ["my_pair"]}, "__init__.py:2: 'my_pair' is in GROUPS twice"),
    ],
)
def test_wrong_name_in_the_reading_order_is_refused(folder, groups, said):
    (folder / "my_pair.py").write_text(RIGHT)
    with pytest.raises(DeclarationError) as refused:
        loading.load(groups)
    assert said in str(refused.value)


# --- Commands


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.json", "*.gz")
    shutil.copytree(BASE_DIR, copy, ignore=unwanted)
    shutil.copy(BASE_DIR / "pyproject.toml", copy)
    return copy


def run(checkout, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, timeout=110
    )


def test_pair_that_is_not_in_the_reading_order_is_named(checkout):
    file = checkout / "comparisons" / "pairs" / "my_pair.py"
    file.write_text(RIGHT)
    try:
        done = run(checkout, "manage.py", "compare", "my-pair")
    finally:
        file.unlink()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    order = "comparisons/pairs/__init__.py"
    assert f"comparisons/pairs/my_pair.py is there but not in GROUPS of {order}" in line


@pytest.fixture(scope="module")
def broken_checkout(checkout):
    order = checkout / "comparisons" / "pairs" / "__init__.py"
    before = order.read_text()
    order.write_text(before.replace('["async_keyword"]', '["async_keyword", "my_pair"]'))
    assert order.read_text() != before
    file = checkout / "comparisons" / "pairs" / "my_pair.py"
    file.write_text(RIGHT.replace("throughput", "thruput"))
    yield checkout
    order.write_text(before)
    file.unlink()


@pytest.mark.parametrize(
    "command",
    [
        "manage.py compare",
        "-m locust -f loadtests/locustfile.py --headless --host http://127.0.0.1:1",
        "-m pytest -p no:cacheprovider tests/loadtests/judging/test_intervals.py",
        *(
            pytest.param(command, marks=pytest.mark.long)
            for command in (
                "-m loadtests.studies.first_byte",
                "manage.py check",
                "manage.py serve asgi-uvicorn --port 18765",
                "manage.py runserver 18765",
                "manage.py runserver --noreload 18765",
                "-m loadtests.studies.second_opinion",
            )
        ),
    ],
)
def test_every_command_refuses_a_wrong_declaration_in_one_line(broken_checkout, command):
    done = run(broken_checkout, *command.split())
    assert done.returncode == 2, done.stderr
    (line,) = (done.stderr or done.stdout).splitlines()
    wrong = "comparisons/pairs/my_pair.py:27: there is no metric 'thruput'"
    assert f"{wrong}; did you mean 'throughput'?" in line
