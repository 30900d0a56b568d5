"""A burst of requests at a server of this machine, told event by event: `burst.py PLAN`.

A program of its own, started by path (see trying.py): a browser opens six connections to a host,
and what runs in the server's own process waits when the server does. It imports nothing of Django,
so that it starts in a tenth of a second, and ends when its stdin does, or its time.

PLAN is JSON: address, port, host (what the requests say in Host), bystander (a path), requests (how
many at once), limit_s (in all), variants (objects of name, path and leaves_after).

Each line of the output is an event, as JSON, and names its variant; times are ms since its burst:

begun      alone: ms that a single request took just before, after one that warmed the server; null
           where none was answered, then why
sent       request: its number; at
ended      request; at; status, null where there was none, then why; by: X-Deployment; view: when
           the view began and ended, on the same clock (null where the server does not say, or,
           as a stream, ends with the answer)
bystander  at; took: one call after another, one every 25 ms where the server lets it
over       at; unanswered: how many were left without an answer as the time was up
"""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

PACE_S = 0.025  # of the bystander
GRACE_S = 2  # after which the kernel ends what does not end itself
ASKS_FOR_VIEW = "X-Burst"
TELLS_VIEW = "X-In-View"
TIME_WAS_UP = "the time was up"
FAILURES = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)  # of a request


class Server:
    """Where the requests go, and what each of them says."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.address, self.port, self.host = plan["address"], plan["port"], plan["host"]

    async def get(self, path: str) -> dict[str, str]:
        """Ask on a connection of its own, read to the end; the head's fields, "" is the status."""
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{ASKS_FOR_VIEW}: 1\r\n"
            writer.write(f"{request}Connection: close\r\n\r\n".encode())
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            while await reader.read(65536):
                pass
        finally:
            writer.close()
        fields = {
            name.lower(): text.strip() for name, _, text in (ln.partition(":") for ln in lines)
        }
        return fields | {"": first.split()[1]}


class Burst:
    """One variant's."""

    def __init__(self, server: Server, variant: dict[str, Any], bystander: str) -> None:
        self.server, self.variant, self.bystander = server, variant, bystander
        self.begun, self.answered, self.ended = 0.0, 0, False

    def say(self, event: str, **facts: Any) -> None:
        print(json.dumps({"event": event, "variant": self.variant["name"], **facts}), flush=True)

    def now(self) -> float:
        return self.ms(time.monotonic())

    def ms(self, moment: float) -> float:
        return round((moment - self.begun) * 1000, 1)

    async def fire(self, count: int, limit_s: float) -> None:
        """Warm the server, ask it once, then so often at once, with a bystander beside that."""
        self.begun, alone, watching = time.monotonic(), None, None
        try:
            async with asyncio.timeout(limit_s):
                await self.server.get(self.bystander)
                await self.ask()
                before = time.monotonic()
                await self.ask()
                alone = round((time.monotonic() - before) * 1000, 1)
                self.begun = time.monotonic()
                self.say("begun", alone=alone)
                watching = asyncio.create_task(self.watch())
                async with asyncio.TaskGroup() as requests:
                    for number in range(count):
                        requests.create_task(self.told(number))
                self.ended = True
                await watching
        except (TimeoutError, *FAILURES) as error:
            if alone is None:
                self.say("begun", alone=None, why=why(error))
        finally:
            if watching:
                watching.cancel()
                await asyncio.wait([watching])
        self.say("over", at=self.now(), unanswered=count - self.answered)

    async def ask(self) -> dict[str, str]:
        """Ask as the variant's clients do; nothing is answered to one that leaves."""
        try:
            async with asyncio.timeout(self.variant["leaves_after"]):
                return await self.server.get(self.variant["path"])
        except TimeoutError:
            return {}

    async def told(self, number: int) -> None:
        self.say("sent", request=number, at=self.now())
        answer: dict[str, Any] = {"status": None}
        try:
            if fields := await self.ask():
                answer = {"status": int(fields[""]), "by": fields.get("x-deployment", "")}
                if moments := fields.get(TELLS_VIEW.lower()):
                    answer["view"] = [self.ms(float(moment)) for moment in moments.split()]
            else:
                answer["why"] = "left"
        except FAILURES as error:
            answer["why"] = why(error)
        self.answered += 1
        self.say("ended", request=number, at=self.now(), **answer)

    async def watch(self) -> None:
        """Call the bystander's view until all is answered; tell of a call cut short too."""
        with suppress(*FAILURES):
            while not self.ended:
                at = self.now()
                try:
                    await self.server.get(self.bystander)
                finally:
                    took = round(self.now() - at, 1)
                    self.say("bystander", at=at, took=took)
                await asyncio.sleep(PACE_S - took / 1000 % PACE_S)


def why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return TIME_WAS_UP
    return " ".join(str(error).split()) or type(error).__name__


async def main(plan: dict[str, Any]) -> None:
    # Whoever started this has ended, or wants no more.
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)
    each_s = plan["limit_s"] / len(plan["variants"])
    for variant in plan["variants"]:
        await Burst(Server(plan), variant, plan["bystander"]).fire(plan["requests"], each_s)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, and its end is ours
    plan_ = json.loads(sys.argv[1])
    signal.alarm(int(plan_["limit_s"]) + GRACE_S)
    with suppress(BrokenPipeError):
        asyncio.run(main(plan_))
