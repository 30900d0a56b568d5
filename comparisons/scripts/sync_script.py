"""Two calls, one after the other, without an event loop."""

import os

import httpx2


def sync_script() -> None:
    with httpx2.Client(base_url=os.environ["UPSTREAM_URL"], trust_env=False) as client:
        first = client.get("/wait/10")
        second = client.get("/wait/10")
    for response in (first, second):
        response.raise_for_status()


if __name__ == "__main__":
    sync_script()
