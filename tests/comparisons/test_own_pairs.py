"""A pair of the reader's own, by its path: loaded, served, measured, shown, and refused."""

import json
import os
import re
import subprocess
import sys

import pytest

from comparisons import loading, own_pairs
from comparisons.declarations import DeclarationError
from comparisons.management.commands.newpair import SKELETON
from comparisons.pairs import COMPARISONS
from loadtests.running import servers
from project import urls
from project.command import _take_arguments
from project.deployments import DEPLOYMENTS
from project.processes import BASE_DIR
from tests.support.clients import PATIENCE

ONE = SKELETON.read_text()


@pytest.fixture
def pair(tmp_path):
    """A pair that is what `newpair` writes, with a module of its own beside it."""
    own = "\nfrom my_helper import doubled\n\nWAIT_MS = doubled(25)"
    file = tmp_path / "my_first.py"
    file.write_text(ONE.replace("\nWAIT_MS = 50", own))
    (tmp_path / "my_helper.py").write_text("def doubled(number):\n    return 2 * number\n")
    return file


def run(*arguments, cwd=BASE_DIR, **environ):
    return subprocess.run(
        [sys.executable, BASE_DIR / "manage.py", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
    )


@pytest.fixture
def why_refused(settings, monkeypatch):
    """Load these files as PAIRS does, and return the line that refuses them."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def refusal(*files):
        settings.PAIRS = files
        with pytest.raises(DeclarationError) as refused:
            loading.load({})
        return str(refused.value)

    yield refusal
    for name in [name for name in sys.modules if name.startswith("own_pairs.")]:
        del sys.modules[name]
    sys.modules.pop("my_helper", None)


# --- What is right


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["compare", "--list", "my_first.py"], {}),
        (["compare", "--list", "--pairs", "my_first.py", "my-first"], {}),
        pytest.param(["compare", "--list", "--pairs=.", "my-first"], {}, marks=pytest.mark.long),
        pytest.param(
            *(["compare", "--list", "my-first"], {"PAIRS": "my_first.py"}), marks=pytest.mark.long
        ),
    ],
    ids=["path", "option", "folder", "PAIRS"],
)
def test_compare_lists_a_pair_of_the_readers(pair, arguments, environ):
    done = run(*arguments, cwd=pair.parent, **environ)
    assert done.stderr == ""
    assert "my-first: Two calls of a service, in turn or at once (6 users)" in done.stdout


def test_list_ends_with_the_readers_own(pair):
    *_, group, line = (
        run("compare", "--list", PAIRS=str(pair)).stdout.partition("\nBy question")[0].splitlines()
    )
    assert group == "Your own"
    assert line.split()[0] == "my-first"


def test_server_of_a_readers_variant_imports_no_other_pair(pair, monkeypatch):
    monkeypatch.setenv("PAIRS", str(pair))
    environ = [{"SERVED": "my-first/async_gathered"}]
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], environ) as (server,):
        url = f"{server.url}/my-first/async_gathered/"
        with servers.direct.open(url, timeout=PATIENCE) as response:
            assert json.load(response) == {"answers": [{"waited_ms": 50}] * 2}


@pytest.mark.long
def test_compare_measures_a_readers_pair(pair, tmp_path):
    done = run("compare", pair, "--quick", "--output", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d held, \d refuted, \d inconclusive, 0 invalid$", done.stdout.strip())
    result = json.loads((tmp_path / "r.json").read_text())
    assert {row["comparison"] for row in result["measurements"]} == {"my-first"}
    report = run("report", tmp_path / "r.json", "--output", tmp_path / "r.html")  # without PAIRS
    assert report.returncode == 0, report.stderr
    assert "Two calls of a service" in (tmp_path / "r.html").read_text()


def test_pages_show_a_readers_pair_and_what_it_takes_from_beside_it(pair, monkeypatch):
    monkeypatch.setenv("PAIRS", str(pair))
    with servers.serving([DEPLOYMENTS["runserver"]], [{}]) as (server,):
        with servers.direct.open(f"{server.url}/my-first/", timeout=PATIENCE) as response:
            page = response.read().decode()
        with servers.direct.open(f"{server.url}/", timeout=PATIENCE) as response:
            index = response.read().decode()
    assert f"{pair}:" in page
    assert str(pair.parent / "my_helper.py") in page
    assert "Your own" in index
    assert 'href="/my-first/"' in index


# --- Arguments


@pytest.mark.parametrize(
    ("words", "left", "pairs"),
    [
        (["compare", "a.py", "cache"], ["compare", "a.py", "cache"], ["a.py"]),
        (
            ["compare", "cache", "--from", "r/x.json"],
            ["compare", "cache", "--from", "r/x.json"],
            [],
        ),
        (
            ["compare", "--load-from", "ssh -F /etc/ours load1"],
            ["compare", "--load-from", "ssh -F /etc/ours load1"],
            [],
        ),
        (["runserver", "--pairs", "a.py", "8001"], ["runserver", "8001"], ["a.py"]),
        (["--pairs=a.py", "serve", "a/sync"], ["serve", "a/sync"], ["a.py"]),
        (["compare", "--quick"], ["compare", "--quick"], []),
    ],
)
def test_pairs_are_taken_from_the_command_line(words, left, pairs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["manage.py", *words])
    monkeypatch.setenv("PAIRS", "")
    _take_arguments()
    assert sys.argv == ["manage.py", *left]
    assert os.environ["PAIRS"] == os.pathsep.join(str(tmp_path / pair) for pair in pairs)


# --- What is wrong


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("import asyncio", "import = asyncio", None, "SyntaxError"),
        ("Blocks:", "Block:", 1, "its docstring has no `Blocks: ...`"),
        ("comparison = ", "compar = ", 1, "it has no `comparison = Comparison(...)`"),
        ("import asyncio", "import asynci", None, "ModuleNotFoundError: No module named 'asynci'"),
        ("WAIT_MS = 50", "WAIT_MS = 1 / 0", None, "ZeroDivisionError"),
        ("WAIT_MS = 50", "raise SystemExit(3)", None, "SystemExit: 3"),
        ("Variant(sync_threads, ", "Variant(sync,  ", None, "there are two variants 'sync'"),
        ("of=async_sequential", 'of="async_seq"', None, "there is no variant 'async_seq'"),
    ],
)
def test_wrong_pair_is_refused_in_one_line(pair, why_refused, right, wrong, line, said):
    pair.write_text(ONE.replace(right, wrong, 1))
    assert pair.read_text() != ONE
    lines = pair.read_text().splitlines()
    if line is None:  # that of the change, or where the expectation that has it begins
        line = next(number for number, text in enumerate(lines, 1) if wrong in text)
        if lines[line - 4].strip() == "Expectation(":
            line -= 3
    refused = why_refused(pair)
    assert refused.startswith(f"{pair}:{line}: ")
    assert said in refused


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "PAIR"],
        pytest.param(["serve", "--pairs", "PAIR", "my-first/sync"], marks=pytest.mark.long),
        pytest.param(["runserver", "--pairs=PAIR"], marks=pytest.mark.long),
    ],
    ids=["compare", "serve", "runserver"],
)
def test_command_refuses_a_wrong_pair_in_one_line(pair, words):
    pair.write_text("")
    done = run(*(word.replace("PAIR", str(pair)) for word in words))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{pair}:1: it has no `comparison = Comparison(...)`" in line


def test_error_in_a_module_beside_the_pair_is_placed_there(pair, why_refused):
    (pair.parent / "my_helper.py").write_text("def doubled(number):\n    return number / 0\n")
    assert f"{pair.parent / 'my_helper.py'}:2: ZeroDivisionError" in why_refused(pair)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.py", None, "there is no such file"),
        ("my-pair.py", "", "call it my_pair.py"),
        ("history.py", ONE, "/history/ is another page: give it another name"),
        ("cache.py", ONE, "comparisons/pairs/cache.py has this name already"),
        ("empty.py", "", "it has no `comparison = Comparison(...)`"),
        ("bytes.py", b"\xff\xfe", "SyntaxError"),
        ("folder.py", "folder", "no file in it has a `comparison = Comparison(...)`"),
    ],
)
def test_wrong_file_is_refused_in_one_line(tmp_path, why_refused, name, content, said):
    file = tmp_path / name
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused = why_refused(file)
    assert str(file) in refused
    assert said in refused


def test_two_files_of_one_name_are_refused(pair, why_refused, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / pair.name).write_text(ONE)
    refused = why_refused(pair, tmp_path / "other" / pair.name)
    assert refused == f"{tmp_path / 'other' / pair.name}: {pair} has the same name"


def test_locust_refuses_a_wrong_pair_in_one_line(pair):
    pair.write_text("")
    command = [sys.executable, "-m", "locust", "-f", BASE_DIR / "loadtests" / "locustfile.py"]
    done = subprocess.run(
        [*command, "--list"],
        env={**os.environ, "PAIRS": str(pair)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert f"locust: {pair}:1: it has no `comparison" in done.stderr
    assert "Traceback" not in done.stderr


# --- newpair


def test_newpair_writes_a_pair_and_says_what_to_run(tmp_path):
    done = run("newpair", "my_second.py", cwd=tmp_path)
    assert (tmp_path / "my_second.py").read_text() == ONE
    assert "python manage.py compare my_second.py" in done.stdout
    assert own_pairs.slug_of("my_second.py") in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("there.py", "exists, and is left as it is"),
        ("nowhere/pair.py", "cannot write nowhere/pair.py: No such file or directory"),
        ("pair.txt", "is no Python file: call it pair.py"),
        ("2nd-pair.py", "call it pair_2nd_pair.py"),
        ("cache.py", "comparisons/pairs/cache.py has this name already"),
    ],
)
def test_newpair_refuses_in_one_line(tmp_path, name, said):
    (tmp_path / "there.py").write_text("mine")
    done = run("newpair", name, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert (tmp_path / "there.py").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]


def test_no_pair_takes_the_path_of_another_page():
    paths = {str(one.pattern).partition("/")[0] for one in urls.urlpatterns}
    paths |= {"held"}  # of a server on an event loop only
    assert paths - {*COMPARISONS, ""} == own_pairs.TAKEN
