"""The project with one view that kills its server while it is under load (see test_measure.py)."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.dying_urls"
