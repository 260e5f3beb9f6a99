"""A WebSocket's connection is one span, from its handshake to its close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import http_scope

if TYPE_CHECKING:
    from obswriter.testing import Captured

ACCEPT = {"type": "websocket.accept", "headers": []}


def websocket_scope(path: str = "/chat/7", **more: Any) -> dict[str, Any]:
    scope = http_scope(path, **{"type": "websocket", "scheme": "ws", **more})
    del scope["method"]
    return scope


async def converse(app: Any, *received: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Have *app* talk to a client that says *received*."""
    left = iter(received)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(left)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await ObservabilityMiddleware(app, **options)(websocket_scope(), receive, send)
    return sent


def closed(code: int, **more: Any) -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, **more}


def said(**what: Any) -> dict[str, Any]:
    return {"type": "websocket.receive", **what}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        obswriter.log("info", "echoed")
        await send({**message, "type": "websocket.send"})


CONNECT = {"type": "websocket.connect"}


async def test_a_connection_is_one_span_with_its_counts_and_sizes(captured: Captured) -> None:
    """getsentry/sentry-python#4293: fix(integrations): ASGI integration not capture transactions
    in Websocket, whose scope has no method.
    """
    said_twice = said(text="grüß"), said(bytes=b"12345", text=None)
    sent = await converse(echo, CONNECT, *said_twice, closed(1000))
    assert sent == [ACCEPT, *({**message, "type": "websocket.send"} for message in said_twice)]
    span = captured.one("span")
    assert (span["name"], span["spanKind"], span["status"]) == ("GET", "server", "unset")
    attributes = span["attributes"]
    assert attributes["url.scheme"] == "ws"
    assert attributes["server.port"] == 8000
    assert attributes["network.protocol.name"] == "websocket"
    assert attributes["http.response.status_code"] == 101
    assert attributes["obswriter.websocket.close_code"] == 1000
    for direction in ("received", "sent"):
        assert attributes[f"obswriter.websocket.messages_{direction}"] == 2
        assert attributes[f"obswriter.websocket.messages_{direction}.size"] == 11
    assert "obswriter.client_disconnected" not in attributes
    assert {log["spanId"] for log in captured.events("log")} == {span["id"]}
    assert captured.one("trace")["id"] == span["traceId"]
    assert obswriter.context.current() is None


@pytest.mark.parametrize(
    ("code", "status", "disconnected"),
    [(1001, "unset", False), (1006, "unset", True), (1011, "error", True)],
)
async def test_how_the_client_left_is_visible(
    captured: Captured, code: int, status: str, disconnected: bool
) -> None:
    await converse(echo, CONNECT, closed(code, reason="bye"))
    span = captured.one("span")
    assert span["status"] == status
    assert span["attributes"]["obswriter.websocket.close_code"] == code
    assert span["attributes"]["obswriter.websocket.close_reason"] == "bye"
    assert span["attributes"].get("obswriter.client_disconnected", False) is disconnected


async def test_a_handshake_that_is_refused_is_a_403(captured: Captured) -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    await converse(refuse)
    span = captured.one("span")
    assert (span["status"], span["attributes"]["http.response.status_code"]) == ("unset", 403)
    assert "obswriter.websocket.close_code" not in span["attributes"]


async def test_a_handshake_may_be_answered_with_a_response(captured: Captured) -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"later"})

    assert len(await converse(refuse)) == 2
    span = captured.one("span")
    assert (span["status"], span["attributes"]["error.type"]) == ("error", "503")


async def test_an_exception_is_recorded_once_and_goes_on(captured: Captured) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        raise LookupError("no such room")

    with pytest.raises(LookupError):
        await converse(fail)
    span = captured.one("span")
    assert (span["status"], span["attributes"]["error.type"]) == ("error", "LookupError")
    assert [event["name"] for event in span["events"]] == ["exception"]
    assert span["attributes"]["http.response.status_code"] == 101


async def test_each_message_is_a_span_on_request(captured: Captured) -> None:
    await converse(
        echo, CONNECT, said(text="a"), said(text="bc"), closed(1000), websocket_messages=True
    )
    connection = captured.one("span", spanKind="server")
    first, second = captured.events("span", name="websocket message")
    assert {first["parentSpanId"], second["parentSpanId"]} == {connection["id"]}
    assert first["endTime"] <= second["startTime"]
    sizes = [s["attributes"]["obswriter.websocket.message.size"] for s in (first, second)]
    assert sizes == [1, 2]
    assert [log["spanId"] for log in captured.events("log")] == [first["id"], second["id"]]


async def test_the_message_that_was_dealt_with_when_it_failed_says_so(captured: Captured) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        raise LookupError("no such room")

    with pytest.raises(LookupError):
        await converse(fail, CONNECT, said(text="a"), websocket_messages=True)
    span = captured.one("span", name="websocket message")
    assert (span["status"], span["attributes"]["error.type"]) == ("error", "LookupError")
    assert "events" not in span


def test_a_route_names_the_connection(captured: Captured) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import Mount, WebSocketRoute
    from starlette.testclient import TestClient

    async def room(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close(4000, "enough")

    app = Starlette(routes=[Mount("/chat", routes=[WebSocketRoute("/{room}", room)])])
    app.add_middleware(ObservabilityMiddleware)
    with TestClient(app).websocket_connect("/chat/7") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
    span = captured.one("span")
    assert span["name"] == "GET /chat/{room}"
    attributes = span["attributes"]
    assert attributes["http.route"] == "/chat/{room}"
    assert attributes["code.function.name"].endswith(
        "test_a_route_names_the_connection.<locals>.room"
    )
    assert attributes["obswriter.websocket.close_code"] == 4000
    assert attributes["obswriter.websocket.close_reason"] == "enough"


def test_the_client_that_vanishes_is_no_error_of_the_server(captured: Captured) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    async def room(websocket: Any) -> None:
        await websocket.accept()
        await websocket.receive_text()

    app = Starlette(routes=[WebSocketRoute("/chat", room)])
    app.add_middleware(ObservabilityMiddleware)
    with (
        pytest.raises(WebSocketDisconnect),
        TestClient(app).websocket_connect("/chat") as websocket,
    ):
        websocket.close(1006)
    span = captured.one("span")
    assert (span["status"], span.get("events")) == ("unset", None)
    assert span["attributes"]["obswriter.client_disconnected"] is True


async def test_the_trace_is_named_in_the_handshake_on_request(captured: Captured) -> None:
    accept, *_ = await converse(echo, CONNECT, closed(1000), traceresponse=True)
    server = captured.one("span")
    value = f"00-{server['traceId']}-{server['id']}-03"
    assert accept["headers"] == [(b"traceresponse", value.encode())]
