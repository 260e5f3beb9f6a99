"""Statuses and exceptions: what the server span says of how a request ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obswriter.testing import Captured


class KitchenError(Exception):
    pass


async def fail(request: Any) -> None:
    raise KitchenError("the stove is cold")


def inside(*routes: Route, **options: Any) -> Any:
    """The middleware where add_middleware() puts it: within ServerErrorMiddleware."""
    app = Starlette(routes=list(routes), **options)
    app.add_middleware(ObservabilityMiddleware)
    return app


def outside(*routes: Route, **options: Any) -> Any:
    """The middleware around the whole application, ServerErrorMiddleware included."""
    return ObservabilityMiddleware(Starlette(routes=list(routes), **options))


def ask(app: Any) -> int:
    return TestClient(app, raise_server_exceptions=False).get("/").status_code


@pytest.mark.parametrize("status", [200, 204, 302, 404, 418])
async def test_a_status_below_500_leaves_the_spans_unset(captured: Captured, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, status)

    await call(ObservabilityMiddleware(app))
    span = captured.one("span")
    assert (span["status"], captured.one("trace")["status"]) == ("unset", "unset")
    assert span["attributes"]["http.response.status_code"] == status
    assert "error.type" not in span["attributes"]


@pytest.mark.parametrize("status", [500, 503])
async def test_a_status_from_500_is_an_error(captured: Captured, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, status)

    await call(ObservabilityMiddleware(app))
    span = captured.one("span")
    assert (span["status"], captured.one("trace")["status"]) == ("error", "error")
    assert span["attributes"]["http.response.status_code"] == status
    assert span["attributes"]["error.type"] == str(status)
    assert "events" not in span


@pytest.mark.parametrize("place", [inside, outside])
def test_an_exception_is_recorded_once_on_the_server_span(captured: Captured, place: Any) -> None:
    assert ask(place(Route("/", fail))) == 500
    server = captured.one("span", spanKind="server")
    endpoint = captured.one("span", name="fail")
    [event] = server["events"]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.message"] == "the stove is cold"
    assert "in fail" in event["attributes"]["exception.stacktrace"]
    assert server["attributes"]["http.response.status_code"] == 500
    assert server["attributes"]["http.route"] == "/"
    for span in (server, endpoint):
        assert span["status"] == "error"
        assert span["attributes"]["error.type"] == f"{__name__}.KitchenError"
    assert "events" not in endpoint
    assert captured.one("trace")["status"] == "error"


def test_the_handler_of_500_answers_and_the_exception_is_recorded_still(
    captured: Captured,
) -> None:
    async def handle(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("sorry", 500)

    assert ask(inside(Route("/", fail), exception_handlers={500: handle})) == 500
    assert len(captured.one("span", spanKind="server")["events"]) == 1


def test_an_exception_that_a_handler_answers_does_not_leave_the_application(
    captured: Captured,
) -> None:
    async def handle(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("teapot", 418)

    assert ask(inside(Route("/", fail), exception_handlers={KitchenError: handle})) == 418
    server = captured.one("span", spanKind="server")
    assert (server["status"], server["attributes"]["http.response.status_code"]) == ("unset", 418)
    assert "events" not in server


def test_an_http_exception_is_the_status_it_names(captured: Captured) -> None:
    def missing(request: Any) -> None:
        raise HTTPException(404)

    assert ask(inside(Route("/", missing))) == 404
    assert captured.one("span", spanKind="server")["status"] == "unset"
    assert captured.one("span", name="missing")["status"] == "unset"


async def test_the_very_exception_goes_on(captured: Captured) -> None:
    error = KitchenError()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(KitchenError) as caught:
        await call(ObservabilityMiddleware(app))
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)


def test_an_exception_in_a_stream_keeps_the_status_that_was_sent(captured: Captured) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise KitchenError

    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(parts())

    ask(inside(Route("/", stream)))
    server = captured.one("span", spanKind="server")
    assert server["status"] == "error"
    assert server["attributes"]["http.response.status_code"] == 200
    assert len(server["events"]) == 1


@pytest.mark.parametrize("place", [inside, outside])
def test_an_exception_after_the_response_is_recorded_too(captured: Captured, place: Any) -> None:
    def task() -> None:
        obswriter.log("info", "task begins")
        raise KitchenError

    async def order(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ordered", background=BackgroundTask(task))

    ask(place(Route("/", order)))
    server = captured.one("span", spanKind="server")
    assert (server["status"], len(server["events"])) == ("error", 1)
    assert server["attributes"]["http.response.status_code"] == 200
    assert captured.one("span", name="order")["status"] == "unset"


def test_a_background_task_does_not_lengthen_the_request(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#1684: Exclude background tasks from request
    duration in ASGI middleware.
    """

    def task() -> None:
        obswriter.log("info", "task begins")

    async def order(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ordered", background=BackgroundTask(task))

    ask(inside(Route("/", order)))
    begun = captured.one("log")["timestamp"]
    request = (captured.one("span", name="GET /"), captured.one("span", name="order"))
    for event in (*request, captured.one("trace")):
        assert event["endTime"] <= begun
