"""A client that goes away is no error of the server, but visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import http_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obswriter.testing import Captured

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, StreamingResponse


async def ask(app: Any, received: list[dict[str, Any]], gone_after: int = 99) -> None:
    """Call *app* for a client that says *received*, and is gone after so many messages."""
    left, sent = iter(received), []

    async def receive() -> dict[str, Any]:
        return next(left)

    async def send(message: dict[str, Any]) -> None:
        if len(sent) >= gone_after:
            raise OSError("the connection is closed")
        sent.append(message)

    scope = http_scope("/", method="POST", asgi={"version": "3.0", "spec_version": "2.4"})
    await app(scope, receive, send)


def shop(endpoint: Any) -> ObservabilityMiddleware:
    app = Starlette()
    app.add_route("/", endpoint, methods=["POST"])
    return ObservabilityMiddleware(app)


def left_unfinished(captured: Captured) -> dict[str, Any]:
    server = captured.one("span", spanKind="server")
    assert server["attributes"]["obswriter.client_disconnected"] is True
    assert (server["status"], server.get("events")) == ("unset", None)
    assert "error.type" not in server["attributes"]
    assert captured.one("span", name="order")["status"] == "unset"
    return server


async def test_while_its_body_is_read(captured: Captured) -> None:
    async def order(request: Any) -> PlainTextResponse:
        await request.body()
        raise AssertionError("the body never ended")

    body = {"type": "http.request", "body": b"half", "more_body": True}
    with pytest.raises(ClientDisconnect):
        await ask(shop(order), [body, {"type": "http.disconnect"}])
    left_unfinished(captured)


async def test_while_it_is_answered(captured: Captured) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"

    async def order(request: Any) -> StreamingResponse:
        return StreamingResponse(parts())

    with pytest.raises(ClientDisconnect):
        await ask(shop(order), [], gone_after=2)
    assert left_unfinished(captured)["attributes"]["http.response.status_code"] == 200


async def test_an_error_of_the_application_is_one_still(captured: Captured) -> None:
    async def order(request: Any) -> PlainTextResponse:
        await request.receive()
        raise LookupError

    with pytest.raises(LookupError):
        await ask(shop(order), [{"type": "http.disconnect"}])
    server = captured.one("span", spanKind="server")
    assert server["status"] == "error"
    assert server["attributes"]["obswriter.client_disconnected"] is True


async def test_after_the_last_byte_nobody_is_missed(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    await ask(ObservabilityMiddleware(app), [{"type": "http.disconnect"}])
    assert "obswriter.client_disconnected" not in captured.one("span")["attributes"]
