"""The current span within a request, and a context that is clean after it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import TYPE_CHECKING, Any

import anyio
import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import obswriter
from obswriter import context
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from obswriter.testing import Captured


def within(endpoint: Any, *inner: Middleware, **options: Any) -> Starlette:
    middleware = [Middleware(ObservabilityMiddleware), *inner]
    return Starlette(routes=[Route("/", endpoint)], middleware=middleware, **options)


async def test_an_async_endpoint_is_the_current_span(captured: Captured) -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        obswriter.log("info", "here")
        return PlainTextResponse("ok")

    await call(within(endpoint))
    assert captured.one("log")["spanId"] == captured.one("span", name="endpoint")["id"]


async def test_a_request_leaves_no_garbage_to_be_collected(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(endpoint=app)
        await answer(send)

    observed = ObservabilityMiddleware(app)
    await call(observed)
    gc.collect()
    gc.disable()
    try:
        await call(app)
        without = gc.collect()
        await call(observed)
        assert gc.collect() == without
    finally:
        gc.enable()


async def test_an_endpoint_in_the_thread_pool_is_the_current_span(captured: Captured) -> None:
    def endpoint(request: Request) -> PlainTextResponse:
        with obswriter.span("work"):
            obswriter.log("info", "here")
        return PlainTextResponse("ok")

    await call(within(endpoint))
    work = captured.one("span", name="work")
    assert work["parentSpanId"] == captured.one("span", name="endpoint")["id"]
    assert captured.one("log")["spanId"] == work["id"]


async def test_middleware_inside_works_in_the_server_span(captured: Captured) -> None:
    class Inner:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            obswriter.log("info", "before routing")
            with obswriter.span("inner"):
                await self.app(scope, receive, send)

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    await call(within(endpoint, Middleware(Inner)))
    server, inner = captured.one("span", spanKind="server"), captured.one("span", name="inner")
    assert captured.one("log")["spanId"] == server["id"]
    assert inner["parentSpanId"] == server["id"]
    assert captured.one("span", name="endpoint")["parentSpanId"] == inner["id"]
    assert context.current() is None


async def test_the_endpoint_is_current_behind_a_base_http_middleware(captured: Captured) -> None:
    class Inner(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            obswriter.log("info", "behind")
            return response

    async def endpoint(request: Request) -> PlainTextResponse:
        obswriter.log("info", "here")
        return PlainTextResponse("ok")

    await call(within(endpoint, Middleware(Inner)))
    server, span = captured.one("span", spanKind="server"), captured.one("span", name="endpoint")
    assert span["parentSpanId"] == server["id"]
    assert captured.one("log", message="here")["spanId"] == span["id"]
    assert captured.one("log", message="behind")["spanId"] == server["id"]
    assert context.current() is None


async def test_a_cancelled_request_leaves_the_context_clean(captured: Captured) -> None:
    with anyio.CancelScope() as cancelling:

        async def endpoint(request: Request) -> None:
            cancelling.cancel()
            await anyio.sleep_forever()

        await call(within(endpoint))
    assert cancelling.cancelled_caught
    assert context.current() is None
    for span in captured.events("span"):
        assert span["status"] == "unset"
        assert span["attributes"]["obswriter.ended_by"] == "asyncio.exceptions.CancelledError"
        assert "events" not in span
    server = captured.one("span", spanKind="server")
    assert server["name"] == "GET /"
    assert "http.response.status_code" not in server["attributes"]
    assert captured.one("span", name="endpoint")["parentSpanId"] == server["id"]


async def test_a_failed_request_leaves_the_context_clean(captured: Captured) -> None:
    async def endpoint(request: Request) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await call(within(endpoint))
    assert context.current() is None


async def test_a_span_left_open_inside_does_not_outlive_the_request(captured: Captured) -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        obswriter.span("left open").__enter__()
        return PlainTextResponse("ok")

    with obswriter.span("around") as around:
        await call(within(endpoint))
        assert context.current() is around
    assert context.current() is None


async def test_a_request_closed_in_another_context_leaves_that_one_alone(
    captured: Captured,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().create_future()

    observed = call(ObservabilityMiddleware(app))
    contextvars.copy_context().run(observed.send, None)
    with obswriter.span("another") as another:
        observed.close()
        assert context.current() is another


def test_state_set_inside_reaches_the_handler_of_500_outside(captured: Captured) -> None:
    async def endpoint(request: Request) -> None:
        request.state.order = 7
        raise ValueError

    async def handle(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(str(request.state.order), 500)

    app = within(endpoint, exception_handlers={500: handle})
    assert TestClient(app, raise_server_exceptions=False).get("/").text == "7"


async def test_the_servers_scope_shows_what_the_application_wrote(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["set"] = 1
        scope.update(updated=2)
        scope.setdefault("defaulted", 3)
        scope |= {"merged": 4}
        del scope["root_path"]
        assert scope.pop("raw_path") == b"/"
        assert scope.pop("raw_path", None) is None
        await answer(send)

    async def outermost(scope: Any, receive: Any, send: Any) -> None:
        await ObservabilityMiddleware(app)(scope, receive, send)
        written = {name: scope.get(name) for name in ("set", "updated", "defaulted", "merged")}
        assert written == {"set": 1, "updated": 2, "defaulted": 3, "merged": 4}
        assert not {"root_path", "raw_path"} & set(scope)

    await call(outermost)


async def test_the_body_is_the_applications_to_read(captured: Captured) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody asked for the body")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    async def with_receive(scope: Any, _: Any, send: Any) -> None:
        await ObservabilityMiddleware(app)(scope, receive, send)

    assert len(await call(with_receive)) == 2


async def test_what_is_received_passes_unchanged(captured: Captured) -> None:
    messages = [{"type": "http.request", "body": b"x"}, {"type": "http.disconnect"}]
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert [await receive(), await receive()] == messages
        await answer(send)

    async def with_receive(scope: Any, _: Any, send: Any) -> None:
        await ObservabilityMiddleware(app)(scope, receive, send)

    assert len(await call(with_receive)) == 2


async def test_other_scopes_pass_untouched(captured: Captured) -> None:
    given = ({"type": "something.new"}, object(), object())

    async def app(*received: Any) -> None:
        assert all(a is b for a, b in zip(received, given, strict=True))
        obswriter.log("info", "passed")

    await ObservabilityMiddleware(app)(*given)  # type: ignore[arg-type]
    assert "traceId" not in captured.one("log")
    assert captured.events("span") == []
