"""The user of a request.

Claim: `await request.auser()` is what `request.user` does, in threads: it saves nothing. Sessions
    in the cache save under WSGI, and cost most under ASGI, where each request connects to it.
Blocks: `request.user` queries on the loop. Django refuses, but only to whoever has a session.
Instead: `auser()` in async views; and the session in a signed cookie, which takes no query.
"""

from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

DATABASE = {  # where Django keeps sessions unless told otherwise
    "EXTRA_MIDDLEWARE": "django.contrib.sessions.middleware.SessionMiddleware,"
    "django.contrib.auth.middleware.AuthenticationMiddleware"
}
CACHE = DATABASE | {"SESSION_ENGINE": "django.contrib.sessions.backends.cache"}
COOKIE = DATABASE | {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}


def log_in(visit: HttpRequest) -> User:
    user = User.objects.get(username="comparisons-reader")  # of migration 0004
    auth.login(visit, user)
    visit.session.clear_expired()  # of earlier rounds
    return user


def sync(request: HttpRequest) -> JsonResponse:
    user = request.user
    if not user.is_authenticated:  # in each visitor's first request, which is not measured
        user = log_in(request)
    return JsonResponse({"user": user.get_username()})


async def async_user(request: HttpRequest) -> JsonResponse:
    try:
        user = request.user
        if not user.is_authenticated:  # pitfall: here it queries, on the loop
            user = await sync_to_async(log_in)(request)
    except SynchronousOnlyOperation as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"user": user.get_username()})


async def async_auser(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    if not user.is_authenticated:
        user = await sync_to_async(log_in)(request)
    return JsonResponse({"user": user.get_username()})


FORGOT = "Whoever has a session is refused, wherever it is kept: the user is a query. All have one."
HOPS = "The same two queries, and five hops on top: three of the middleware, one for each query."
COOK = "One query instead of two, and under ASGI one hop less: a tenth of a request at least."
KEPT = "A GET on the thread's own connection, where a query builds SQL and makes an object."
OPEN = "To open a connection takes two commands and a socket more than the GET that it is for."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads", name="sync_database", environ=DATABASE),
        Variant(sync, "wsgi-threads", name="sync_cache", environ=CACHE),
        Variant(sync, "wsgi-threads", name="sync_cookie", environ=COOKIE),
        Variant(async_user, "asgi-uvicorn", environ=DATABASE, pitfall=True, may_fail=True),
        Variant(async_auser, "asgi-uvicorn", name="async_database", environ=DATABASE),
        Variant(async_auser, "asgi-uvicorn", name="async_cache", environ=CACHE),
        Variant(async_auser, "asgi-uvicorn", name="async_cookie", environ=COOKIE),
    ],
    expectations=[
        Expectation(async_user, "failures", at_least=0.95, why=FORGOT),
        Expectation("async_database", "throughput", of="sync_database", at_most=1, why=HOPS),
        Expectation("sync_cookie", "cpu_per_request", of="sync_database", at_most=0.9, why=COOK),
        Expectation("async_cookie", "cpu_per_request", of="async_database", at_most=0.9, why=COOK),
        Expectation("sync_cache", "cpu_per_request", of="sync_database", at_most=1, why=KEPT),
        Expectation("async_cache", "cpu_per_request", of="async_database", at_least=1, why=OPEN),
    ],
)
