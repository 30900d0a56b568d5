"""Which server, for a view with one ORM query.

Claim: a query through Django's ORM, Django itself and a server take less than a usual page
    computes, whatever the server; an async view takes more of it than a sync one.
Blocks: nothing, but the ORM's code is sync: an async view goes to a thread for it, and back.
Instead: psycopg itself, where the query is what counts (`orm-in-async`).
"""

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import CPU, DJANGOS, ONE_SLOT, PLACES, many_places
from comparisons.models import Customer
from comparisons.registry import Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    customer = Customer.objects.get(id=1)
    return JsonResponse({"name": customer.name})


async def async_native(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=1)
    return JsonResponse({"name": customer.name})


LESS = "All that a request takes is less than the CPU ms that a usual page computes (`servers`)."
HOPS = "The query goes to a thread and back, and so do Django's signals: under WSGI all is in one."
comparison = Comparison(
    users=4,
    raw=True,
    variants=[
        Variant(sync, "wsgi-sync", name=ONE_SLOT, workers=1, database="pool"),
        *many_places(sync, async_native, database="pool"),
    ],
    expectations=[
        Expectation((ONE_SLOT, *PLACES), "cpu_per_request", at_most=1000 * CPU, why=LESS),
        Expectation(DJANGOS, "cpu_per_request", of="sync_threads", at_least=1, why=HOPS),
    ],
)
