"""What a logged-in request asks of database and cache, and where; and who is refused."""

from datetime import timedelta

import psycopg
import pytest
import redis
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from comparisons.pairs import sessions_and_users
from tests.support.hops import answers_to, note_hops, settings_of

VARIANTS = {variant.name: variant for variant in sessions_and_users.comparison.variants}
LASTING = [name for name in VARIANTS if name != "async_user"]
TABLES = ("django_session", "auth_user")
BODY = b'{"user": "comparisons-reader"}'


def path_of(name):
    return f"/{sessions_and_users.comparison.slug}/{name}/"


def answers_of(name, count=2, *, environ=None, before_last=lambda: None):
    """What a visitor is answered who asks so often: status and body of each."""
    variant = VARIANTS[name]
    with settings_of(environ or variant.environ):
        if variant.is_async:
            answers = answers_to(path_of(name), count, before_last=before_last)
            return [(status, body) for status, _, body in answers]
        visitor, answers = Client(), []
        for number in range(1, count + 1):
            if number == count:
                before_last()
            answers.append(visitor.get(path_of(name)))
        return [(answer.status_code, answer.content) for answer in answers]


@pytest.fixture
def queried(database, monkeypatch):
    """The tables of users and sessions that are asked for, or written."""
    found = []
    execute = psycopg.Cursor.execute

    def noted(self, query, *args, **options):
        found.extend(table for table in TABLES if f'FROM "{table}"' in str(query))
        return execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return found


@pytest.mark.parametrize("name", LASTING)
def test_every_variant_answers_who_comes_and_who_comes_back_alike(name, database):
    assert answers_of(name, 3) == [(200, BODY)] * 3


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("sync_database", ["django_session", "auth_user"]),
        ("sync_cache", ["auth_user"]),
        ("sync_cookie", ["auth_user"]),
        ("async_database", ["django_session", "auth_user"]),
        ("async_cache", ["auth_user"]),
        ("async_cookie", ["auth_user"]),
    ],
)
def test_session_in_the_database_takes_a_query_more(name, tables, queried):
    answers_of(name, before_last=queried.clear)
    assert queried == tables


BEFORE = [
    "Signal.asend.<locals>.sync_send",  # request_started
    "SessionMiddleware.process_request",
    "AuthenticationMiddleware.process_request",
]
AFTER = ["SessionMiddleware.process_response", "HttpResponseBase.close"]


@pytest.mark.parametrize(
    ("name", "hops_of_auser"),
    [
        ("async_database", ["QuerySet.get", "QuerySet.get"]),
        ("async_cache", ["RedisCache.get", "QuerySet.get"]),
        ("async_cookie", ["QuerySet.get"]),
    ],
)
def test_auser_hops_once_for_session_and_user_each(name, hops_of_auser, database, monkeypatch):
    hops = note_hops(monkeypatch)
    answers_of(name, before_last=hops.clear)
    assert hops == [*BEFORE, *hops_of_auser, *AFTER]


@pytest.mark.parametrize("engine", ["DATABASE", "CACHE", "COOKIE"])
def test_user_in_async_view_is_refused_to_whoever_has_a_session(engine, database):
    first, *later = answers_of("async_user", 3, environ=getattr(sessions_and_users, engine))
    assert first == (200, BODY)
    assert [status for status, _ in later] == [503, 503]
    assert all(b"from an async context" in body for _, body in later)


@pytest.mark.parametrize(("name", "opened"), [("sync_cache", 0), ("async_cache", 1)])
def test_cache_is_connected_to_for_each_async_request(name, opened, database, monkeypatch):
    connect, connections = redis.connection.Connection.connect, []

    def noted(self):
        if not self._sock:
            connections.append(self)
        return connect(self)

    monkeypatch.setattr(redis.connection.Connection, "connect", noted)
    answers_of(name, before_last=connections.clear)
    assert len(connections) == opened
    for connection in connections:
        connection.disconnect()


@pytest.mark.parametrize("name", ["sync_database", "async_database"])
def test_next_login_removes_sessions_that_have_expired(name, database):
    now = timezone.now()
    for key, age in (("expired-in-a-test", 1), ("lasting-in-a-test", -60)):
        when = now - timedelta(seconds=age)
        Session.objects.update_or_create(session_key=key, defaults={"expire_date": when})
    answers_of(name, 1)
    found = Session.objects.filter(session_key__endswith="-in-a-test")
    assert [session.session_key for session in found] == ["lasting-in-a-test"]
    found.delete()


def test_reader_has_no_password_to_log_in_with(database):
    assert not User.objects.get(username="comparisons-reader").has_usable_password()
