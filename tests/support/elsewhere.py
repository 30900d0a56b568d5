"""A site of somebody else's, in a folder of its own, and how it is served; it notes what it is
asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from project.deployments import GUNICORN, UVICORN, Deployment
from project.environment import child_environ

OWN_PATHS = "/__advise__/"
SITE = '''
import itertools, json, os, time

numbers = itertools.count()

def answer(method, target, headers, body):
    """Return status, headers and body."""
    named = [("X-Deployment", os.environ["ADVISE_NAME"])]
    path = target.partition("?")[0]
    if path.startswith("/__advise__/"):
        pools = {"requests_num": 0, "requests_wait_ms": 0}
        return 200, named, json.dumps(pools if "pools" in path else {"ok": True})
    said = [headers.get("cookie", ""), headers.get("content-type", ""), body]
    with open("asked", "a") as log:
        log.write(" ".join(filter(None, [method, target, *said])) + chr(10))
    if path == "/moved/":
        return 302, [*named, ("Location", "/elsewhere/")], ""
    if path == "/created/":
        return 201, named, "made"
    if path == "/missing/":
        return 404, named, "nothing here"
    if path == "/session/":
        return 200, [*named, ("Set-Cookie", "session=1; Path=/")], "welcome"
    if path == "/different/":
        return 200, named, f"{os.getpid()} {next(numbers)}"
    if path == "/stranger/":
        return 200, [("X-Deployment", "another")], "hello"
    return 200, named, "hello"

def wsgi(environ, start_response):
    target = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"]) * bool(environ["QUERY_STRING"])
    headers = {n[5:].lower().replace("_", "-"): v for n, v in environ.items() if n[:5] == "HTTP_"}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    status, own, body = answer(environ["REQUEST_METHOD"], target, headers, sent)
    start_response(f"{status} -", [*own, ("Content-Length", str(len(body)))])
    return [body.encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    query = scope["query_string"].decode()
    target = scope["raw_path"].decode() + f"?{query}" * bool(query)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    sent = (await receive()).get("body", b"").decode()
    status, own, body = answer(scope["method"], target, headers, sent)
    own = [(name.encode(), value.encode()) for name, value in own]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*own, length]})
    await send({"type": "http.response.body", "body": body.encode()})
'''


@dataclass(frozen=True)
class Elsewhere(Deployment):
    """Serves the site of a folder."""

    site: Path = Path()

    @property
    def folder(self) -> Path:
        return self.site

    @property
    def own_paths(self) -> str:
        return OWN_PATHS

    def environ(self, nonce: str, own: Mapping[str, str]) -> dict[str, str]:
        name = f"{self.name} {nonce}"
        return {**child_environ(), **own, "ADVISE_NAME": name, "PYTHONDONTWRITEBYTECODE": "1"}


def deployments(folder: Path) -> dict[str, Elsewhere]:
    """Write the site there; return how it is served, by interface."""
    (folder / "site_of_theirs.py").write_text(SITE)
    threads = GUNICORN + "--worker-class gthread --threads {threads} --keep-alive 60"
    return {
        "wsgi": Elsewhere(
            "theirs-wsgi", "", "wsgi", threads, "site_of_theirs:wsgi", threads=4, site=folder
        ),
        "asgi": Elsewhere("theirs-asgi", "", "asgi", UVICORN, "site_of_theirs:asgi", site=folder),
    }


def asked(folder: Path) -> list[str]:
    """What the site was asked for, in this order; as `GET /orders/`, cookie, type and body."""
    log = folder / "asked"
    return log.read_text().splitlines() if log.exists() else []
