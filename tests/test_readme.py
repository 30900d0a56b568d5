"""The README says what the project does: its table, its picture, its commands and its names."""

import inspect
import re

import pytest

from comparisons import result_store
from comparisons.pairs import COMPARISONS, blocking_call
from comparisons.questions import QUESTIONS
from loadtests.reporting import reference
from project.deployments import DEPLOYMENTS
from project.processes import BASE_DIR

README = (BASE_DIR / "README.md").read_text()


RESULT = result_store.read(reference.REFERENCE)


@pytest.mark.parametrize("block", reference.blocks(RESULT), ids=lambda block: block.begin)
def test_figures_are_those_of_the_reference_run(block):
    assert block.begin + block.text + block.end in block.file.read_text()


def test_memory_of_requests_that_wait_is_that_of_the_reference_run():
    text = (BASE_DIR / "loadtests" / "README.md").read_text()
    sentence = text.partition("or less: with 1,000 users ")[2].partition("(`compare")[0]
    rows = {
        row.variant: f"{row.kb_per_request:.0f}"
        for row in RESULT.measurements
        if (row.comparison, row.users) == ("many-waiting", 1_000)
    }
    variants = ["async_shared_thread", "sync", "async_native", "async_direct", "async_plain"]
    assert re.findall(r"\b\d+\b", sentence) == [rows[variant] for variant in variants]


def test_pair_that_is_shown_stands_so_in_its_file():
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.S)
    for view in shown.split("\n\n\n"):
        assert view.strip() in inspect.getsource(blocking_call)


def test_pictures_are_those_of_the_reference_run():
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert [BASE_DIR / picture for picture in shown if picture.endswith(".svg")] == [
        reference.PICTURES / f"{name}.svg" for name in reference.PICTURED
    ]
    assert all((BASE_DIR / picture).exists() for picture in shown)


def test_number_of_questions_is_right():
    assert {int(number) for number in re.findall(r"(\d+) questions", README)} == {len(COMPARISONS)}


def test_every_question_that_people_ask_is_in_the_table():
    rows = re.findall(r"^\| (.*\?) \| (`.*`) \|$", README, re.M)
    assert {q: re.findall(r"`([\w-]+)`", slugs) for q, slugs in rows} == QUESTIONS


def test_tree_that_is_shown_is_there():
    (tree,) = re.findall(r"```\n(project/.*?)```", README, re.S)
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else name
        assert (BASE_DIR / folder / ("" if name == folder else name)).exists(), name


def test_starting_points_are_there():
    for path in re.findall(r"`((?:project|comparisons|loadtests|tests)/[\w/.]+\.py)`", README):
        assert (BASE_DIR / path).exists(), path


@pytest.mark.parametrize("file", ["README.md", "loadtests/README.md"])
def test_every_link_into_the_checkout_leads_somewhere(file):
    path = BASE_DIR / file
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_deployment_is_in_the_table():
    servers = "gunicorn|uvicorn|granian|Django"
    found = re.findall(rf"^\| `([a-z-]+)` \| (?:{servers})", README, re.M)
    assert set(found) == set(DEPLOYMENTS)


def test_every_option_of_compare_is_explained():
    from loadtests.management.commands.compare import Command

    parser = Command().create_parser("manage.py", "compare")
    own = {option for action in parser._actions for option in action.option_strings}
    djangos = {"-h", "--help", "--version", "-v", "--verbosity", "--settings", "--pythonpath"}
    djangos |= {"--traceback", "--no-color", "--force-color", "--skip-checks"}
    assert {option for option in own - djangos if f"`{option}" not in README} <= {
        "--threads",  # in one cell with --workers
        "--list",
    }
