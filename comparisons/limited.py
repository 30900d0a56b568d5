"""A service that takes only so many calls at once: its address, and what a view answers of it."""

from collections.abc import Iterable

import httpx2
from django.conf import settings
from django.http import JsonResponse


def limited_path(name: str, capacity: int, wait_ms: int) -> str:
    """Return the upstream's path of a service of this name, that this server has to itself."""
    return f"/limited/{name}-{settings.DEPLOYMENT_NONCE}/{capacity}/{wait_ms}"


def response_for(answers: Iterable[httpx2.Response]) -> JsonResponse:
    """Say how many calls were served; status 503 unless all of them were."""
    successes = [answer.is_success for answer in answers]
    return JsonResponse({"served": sum(successes)}, status=200 if all(successes) else 503)
