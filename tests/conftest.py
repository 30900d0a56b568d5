"""Fixtures that more than one file uses."""

import os

import psycopg
import pytest
from django.db import connections
from django.test import RequestFactory


@pytest.fixture
def request_():
    return RequestFactory().get("/")


@pytest.fixture
def database(django_db_blocker):
    """The seeded database itself, which the views under test read."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()


@pytest.fixture(scope="module")
def postgres():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watcher:
        yield watcher
