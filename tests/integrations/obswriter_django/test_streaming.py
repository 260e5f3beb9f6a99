"""A streaming response is measured to its last byte, or to its early end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import path

import obswriter
from obswriter import context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from obswriter.testing import Captured


def numbers() -> Iterator[bytes]:
    for number in range(3):
        obswriter.log("info", f"chunk {number}")
        yield b"%d" % number


async def numbers_async() -> AsyncIterator[bytes]:
    for number in numbers():
        await asyncio.sleep(0)
        yield number


def broken() -> Iterator[bytes]:
    yield b"0"
    raise LookupError("lost")


async def broken_async() -> AsyncIterator[bytes]:
    yield b"0"
    raise LookupError("lost")


def serve(site: Any, chunks: Callable[[], Any]) -> None:
    def stream(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    site.has(path("", stream))


def begin() -> Any:
    """Do what a WSGI server does before it sends the first byte."""
    environ = RequestFactory()._base_environ()
    return WSGIHandler()(environ, lambda status, headers: None)


def server_span(captured: Captured) -> dict[str, Any]:
    return captured.one("span", name="GET /")


def test_the_span_ends_with_the_last_byte(wsgi_site: Any, captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#4681: Django Instrumentation: Spans close
    prematurely for StreamingHttpResponse.
    """
    serve(wsgi_site, numbers)
    response = begin()
    chunks = iter(response)
    assert [next(chunks), next(chunks), next(chunks)] == [b"0", b"1", b"2"]
    assert [span["name"] for span in captured.events("span")] == ["stream"]
    assert next(chunks, None) is None
    assert server_span(captured)["status"] == "unset"
    response.close()
    assert len(captured.events("span", name="GET /")) == 1


def test_what_is_recorded_while_streaming_belongs_to_the_request(
    site: Any, captured: Captured
) -> None:
    """getsentry/sentry-python#3736: Django StreamingHttpResponse View not working as expected: its
    spans had another trace.
    """
    serve(site, numbers_async if site.asynchronous else numbers)
    assert site.get("/").body == b"012"
    server = server_span(captured)
    logs = captured.events("log")
    assert [log["message"] for log in logs] == ["chunk 0", "chunk 1", "chunk 2"]
    assert {log["spanId"] for log in logs} == {server["id"]}
    assert "obswriter.ended_by" not in server["attributes"]


def test_between_two_chunks_the_context_is_clean(wsgi_site: Any, captured: Captured) -> None:
    serve(wsgi_site, numbers)
    response = begin()
    assert context.current() is None
    for _ in response:
        assert context.current() is None
    response.close()
    assert context.current() is None


def test_two_streams_by_turns_in_one_thread_do_not_mix(wsgi_site: Any, captured: Captured) -> None:
    serve(wsgi_site, numbers)
    responses = [begin(), begin()]
    for _ in zip(*responses, strict=True):
        pass
    for response in responses:
        response.close()
    spans = captured.events("span", name="GET /")
    for span in spans:
        assert len(captured.events("log", spanId=span["id"])) == 3
    assert len({span["traceId"] for span in spans}) == 2


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_closed_early_says_so(
    read: int, wsgi_site: Any, captured: Captured
) -> None:
    cleaned_up = []

    def chunks() -> Iterator[bytes]:
        try:
            yield from numbers()
        finally:
            cleaned_up.append(context.current())

    serve(wsgi_site, chunks)
    response = begin()
    iterator = iter(response)
    for _ in range(read):
        next(iterator)
    assert captured.events("span", name="GET /") == []
    response.close()
    server = server_span(captured)
    assert server["status"] == "unset"
    assert server["attributes"]["obswriter.ended_by"] == "GeneratorExit"
    assert server["attributes"]["obswriter.client_disconnected"] is True
    assert [span.id for span in cleaned_up] == [server["id"]] * read


def test_a_stream_that_breaks_is_an_error(site: Any, captured: Captured) -> None:
    serve(site, broken_async if site.asynchronous else broken)
    with pytest.raises(LookupError):
        site.get("/")
    server = server_span(captured)
    assert server["status"] == "error"
    assert server["attributes"]["error.type"] == "LookupError"
    assert server["attributes"]["http.response.status_code"] == 200
    assert [event["name"] for event in server["events"]] == ["exception"]


def test_a_file_keeps_the_servers_sendfile_and_ends_when_closed(
    wsgi_site: Any, captured: Captured, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_bytes(b"contents")

    def download(request: Any) -> FileResponse:
        return FileResponse((tmp_path / "file.txt").open("rb"))

    wsgi_site.has(path("", download))

    class Wrapper:
        def __init__(self, file: Any, block_size: int) -> None:
            self.file = file

    environ = RequestFactory()._base_environ(**{"wsgi.file_wrapper": Wrapper})
    wrapped = WSGIHandler()(environ, lambda status, headers: None)
    assert isinstance(wrapped, Wrapper)
    assert wrapped.file.read() == b"contents"
    assert captured.events("span", name="GET /") == []
    wrapped.file.close()
    assert not {"obswriter.ended_by", "obswriter.client_disconnected"} & set(
        server_span(captured)["attributes"]
    )


async def run_asgi(receive: Any, send: Any) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "http_version": "2",
    }
    await ASGIHandler()(scope, receive, send)


async def test_a_client_that_goes_away_ends_the_span(asgi_site: Any, captured: Captured) -> None:
    streaming = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        streaming.set()
        await asyncio.Event().wait()

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if message := next(messages, None):
            return message
        await streaming.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    serve(asgi_site, endless)
    await run_asgi(receive, send)
    server = server_span(captured)
    assert server["attributes"]["obswriter.ended_by"] == "asyncio.exceptions.CancelledError"
    assert server["attributes"]["obswriter.client_disconnected"] is True
    assert server["attributes"]["network.protocol.version"] == "2"
    assert server["status"] == "unset"
    assert context.current() is None


async def test_a_client_that_goes_away_before_the_answer_ends_both_spans(
    asgi_site: Any, captured: Captured
) -> None:
    """open-telemetry/opentelemetry-python-contrib#4102: django: handle cancelled requests more
    cleanly.
    """
    waiting = asyncio.Event()

    async def view(request: Any) -> Any:
        waiting.set()
        await asyncio.Event().wait()

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if message := next(messages, None):
            return message
        await waiting.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError("there is nobody to answer")

    asgi_site.has(path("", view))
    await run_asgi(receive, send)
    assert [span["attributes"]["obswriter.ended_by"] for span in captured.events("span")] == [
        "asyncio.exceptions.CancelledError",
        "asyncio.exceptions.CancelledError",
    ]
    assert server_span(captured)["attributes"]["obswriter.client_disconnected"] is True
    assert context.current() is None
