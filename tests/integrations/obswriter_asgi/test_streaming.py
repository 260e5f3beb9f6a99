"""A response is measured to its last byte, whatever the messages it consists of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obswriter.testing import Captured


async def test_the_span_of_a_stream_lasts_until_its_last_part(captured: Captured) -> None:
    responses = pytest.importorskip("starlette.responses")
    applications = pytest.importorskip("starlette.applications")
    first_part, signal = asyncio.Event(), asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await signal.wait()
        obswriter.log("info", "before the last part")
        yield b"last"

    async def stream(request: Any) -> Any:
        return responses.StreamingResponse(parts())

    def on_message(message: dict[str, Any]) -> None:
        if message.get("body") == b"first":
            first_part.set()

    app = applications.Starlette()
    app.add_route("/", stream)
    app.add_middleware(ObservabilityMiddleware)
    request = asyncio.create_task(call(app, on_message=on_message))
    await first_part.wait()
    assert captured.events("span") == []
    signal.set()
    await request
    log = captured.one("log")
    server, endpoint = captured.one("span", spanKind="server"), captured.one("span", name="stream")
    assert log["spanId"] == endpoint["id"]
    assert log["timestamp"] <= endpoint["endTime"] <= server["endTime"]


LAST_MESSAGES = {
    "body": [{"type": "http.response.body", "body": b"x"}],
    "parts": [
        {"type": "http.response.body", "body": b"x", "more_body": True},
        {"type": "http.response.body"},
    ],
    "zerocopysend": [{"type": "http.response.zerocopysend", "file": 1}],
    "pathsend": [{"type": "http.response.pathsend", "path": "/x"}],
}


async def send_and_log(messages: list[dict[str, Any]], trailers: bool) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [], "trailers": trailers}
        for message in (start, *messages):
            obswriter.log("info", "before")
            await send(message)
        obswriter.log("info", "after")

    return await call(ObservabilityMiddleware(app))


@pytest.mark.parametrize("name", LAST_MESSAGES)
@pytest.mark.parametrize("trailers", [False, True])
async def test_the_clock_stops_when_the_last_message_is_sent(
    captured: Captured, name: str, trailers: bool
) -> None:
    messages = list(LAST_MESSAGES[name])
    if trailers:
        messages += [
            {"type": "http.response.trailers", "headers": [], "more_trailers": True},
            {"type": "http.response.trailers", "headers": []},
        ]
    assert (await send_and_log(messages, trailers))[1:] == messages
    before = captured.events("log", message="before")[-1]["timestamp"]
    after = captured.one("log", message="after")["timestamp"]
    assert before <= captured.one("span")["endTime"] <= after


async def test_a_response_that_is_never_finished_ends_with_the_call(captured: Captured) -> None:
    await send_and_log([{"type": "http.response.body", "body": b"x", "more_body": True}], False)
    assert captured.one("log", message="after")["timestamp"] <= captured.one("span")["endTime"]


EXTENSIONS = [
    {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]},
    {"type": "http.response.push", "path": "/style.css", "headers": []},
    {"type": "http.response.debug", "info": {"template": "page.html"}},
]


@pytest.mark.parametrize("message", EXTENSIONS, ids=lambda message: message["type"])
async def test_messages_of_extensions_pass_and_end_nothing(
    captured: Captured, message: dict[str, Any]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message)
        await answer(send)
        obswriter.log("info", "after")

    assert (await call(ObservabilityMiddleware(app)))[0] is message
    span = captured.one("span")
    assert span["attributes"]["http.response.status_code"] == 200
    assert span["endTime"] <= captured.one("log")["timestamp"]
