"""What the measuring asks of a server beside its variants."""

import asyncio
import json

from django.http import HttpRequest

from comparisons import probes


def test_bystander_answers_alike_in_both_colours() -> None:
    answer = probes.bystander(HttpRequest())
    assert answer.content == asyncio.run(probes.async_bystander(HttpRequest())).content
    assert json.loads(answer.content) == {"ok": True}
