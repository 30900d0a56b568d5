"""The README says what the project does: its table, its picture, its commands and its names."""

import re

from comparisons import result_store
from loadtests.reporting import reference
from project.deployments import DEPLOYMENTS
from project.processes import BASE_DIR

README = (BASE_DIR / "README.md").read_text()


def test_the_table_is_that_of_the_reference_run():
    assert reference.block(result_store.read(reference.REFERENCE)) in README


def test_the_picture_is_there():
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert BASE_DIR / picture == reference.PICTURE
    assert reference.PICTURE.exists()


def test_every_link_into_the_checkout_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (BASE_DIR / target).exists(), target


def test_every_deployment_is_in_the_table():
    assert set(re.findall(r"^\| `([a-z-]+)` \| (?:gunicorn|uvicorn|Django)", README, re.M)) == set(
        DEPLOYMENTS
    )


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
