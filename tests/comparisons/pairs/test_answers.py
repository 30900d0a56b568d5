"""Every variant of a pair gives the same answer, called without a server."""

import json

import pytest

from comparisons.pairs import (
    across_requests,
    async_keyword,
    cache,
    dependent_awaits,
    django_cache,
    fan_out_many,
    fan_out_semaphore,
    logging,
    print,
    shared_resource,
    staged_awaits,
    start_up,
)
from tests.support.loops import answer_of

# Those of bounded-concurrency and worker-queue have tests of their own: the real upstream's
# capacity is shared with whoever else uses it now.
MODULES = (
    across_requests,
    async_keyword,
    cache,
    dependent_awaits,
    django_cache,
    fan_out_many,
    fan_out_semaphore,
    logging,
    print,
    shared_resource,
    staged_awaits,
    start_up,
)


@pytest.mark.parametrize(
    ("comparison", "variant"),
    [
        pytest.param(module.comparison, variant, id=f"{module.comparison.slug}/{variant.name}")
        for module in MODULES
        for variant in module.comparison.variants
    ],
)
def test_every_variant_answers_alike(comparison, variant, request):
    if comparison is shared_resource.comparison:
        request.getfixturevalue("shared")
    expected, answer = answer_of(comparison.variants[0].view), answer_of(variant.view)
    assert json.loads(expected.content)
    assert (answer.status_code, answer.content) == (200, expected.content)
