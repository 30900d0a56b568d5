"""The project with one lie in it: what the measurement has to catch (see test_lies.py)."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.lying_urls"
