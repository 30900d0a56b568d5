"""Two calls, one after the other, in an event loop that runs for nothing else."""

import asyncio
import os

import httpx2


async def async_script() -> None:
    async with httpx2.AsyncClient(base_url=os.environ["UPSTREAM_URL"], trust_env=False) as client:
        first = await client.get("/wait/10")
        second = await client.get("/wait/10")
    for response in (first, second):
        response.raise_for_status()


if __name__ == "__main__":
    asyncio.run(async_script())
