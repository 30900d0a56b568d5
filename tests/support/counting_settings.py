"""The project's settings, with a page that counts the event loop's tasks."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.counting_urls"
