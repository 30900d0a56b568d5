"""The project's settings, with streams of many events, and a page that counts who listens."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.endless_urls"
