"""Two calls, one after the other, in an event loop that runs for nothing else."""

import asyncio
import os

import httpx2


async def async_script() -> None:
    async with httpx2.AsyncClient(base_url=os.environ["UPSTREAM_URL"], trust_env=False) as client:
        first = await client.get("/wait/10")
        second = await client.get("/wait/10")
    assert first.status_code == second.status_code == 200


if __name__ == "__main__":
    asyncio.run(async_script())
