"""The request's body, in memory and on disk, and uploads: read whole, and closed."""

import os
import tempfile

import pytest
from django.http import HttpResponse, JsonResponse

from project.direct import DirectASGIHandler
from tests.support.asgi import ask, form, run
from tests.support.coloured import (
    async_view,
    coloured,
    each_colour,
)

LIMIT = 1000
BODIES = {
    "empty": [],
    "small": [b"small"],
    "in several messages": [b"one", b"", b"two"],
    "after an empty message": [b"", b"two"],
    "on disk": [b"x" * LIMIT, b"y"],
}


@each_colour
@pytest.mark.parametrize("name", BODIES)
def test_view_reads_the_body_whole(site, body_files, colour, name):
    streams = []

    def view(request):
        streams.append(request._stream)
        return HttpResponse(request.body)

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    exchange = run(ask(application, method="POST", body=BODIES[name]))
    assert exchange.body == b"".join(BODIES[name])
    assert all(stream.closed for stream in streams + body_files)


@each_colour
@pytest.mark.parametrize("name", BODIES)
def test_body_that_nobody_reads_is_closed(site, body_files, handler, colour, name):
    """An empty one takes no file of ours."""
    streams = []

    def view(request):
        streams.append(request._stream)
        return HttpResponse()

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    run(ask(application, method="POST", body=BODIES[name]))
    assert all(stream.closed for stream in streams + body_files)
    takes_none = name == "empty" and handler is DirectASGIHandler
    assert [file._rolled for file in body_files] == ([] if takes_none else [name == "on disk"])


@each_colour
def test_body_on_disk_is_closed_in_a_thread(site, body_files, monkeypatch, events, colour):
    close = tempfile.SpooledTemporaryFile.close

    def noted(file):
        events.happen("close")
        close(file)

    application = site(
        coloured(colour, lambda request: HttpResponse()), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT
    )
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "close", noted)
    run(ask(application, method="POST", body=BODIES["on disk"]))
    assert events[0] == ("close", "thread")


def test_body_of_a_bad_request_is_closed(site, body_files):
    application = site(async_view, FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    exchange = run(ask(application, query_string=b"\xff", body=BODIES["on disk"]))
    assert exchange.status == 400
    assert [file.closed for file in body_files] == [True]


@pytest.mark.parametrize("name", BODIES)
def test_view_reads_the_body_piece_by_piece(site, name):
    async def view(request):
        return JsonResponse({"read": [len(request.read(2)), len(request.read(2000))]})

    application = site(view, FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    size = len(b"".join(BODIES[name]))
    exchange = run(ask(application, method="POST", body=BODIES[name]))
    assert exchange.body == b'{"read": [%d, %d]}' % (min(size, 2), max(size - 2, 0))


@each_colour
@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (LIMIT, "InMemoryUploadedFile"),
        (10, "TemporaryUploadedFile"),
        (0, "TemporaryUploadedFile"),  # which is: never in memory
    ],
)
def test_uploads_are_closed_and_removed_in_a_thread(
    site, happened, monkeypatch, colour, limit, name
):
    uploads = []

    def view(request):
        upload = request.FILES["file"]
        uploads.append(upload)
        close = upload.close
        monkeypatch.setattr(upload, "close", lambda: [happened.happen("close"), close()])
        return HttpResponse(f"{type(upload).__name__} {upload.read().decode()}")

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=limit)
    exchange = run(ask(application, **form(name="value", file=("file.txt", b"content of it"))))
    assert exchange.body.decode() == f"{name} content of it"
    assert happened == [("close", "thread")]
    assert uploads[0].closed
    if name == "TemporaryUploadedFile":
        assert not os.path.exists(uploads[0].temporary_file_path())
