"""One application, driven through OpenTelemetry and through obswriter: each difference is meant.

A difference that is not in the lists fails, and so does one in the lists that is gone.
"""

from __future__ import annotations

from typing import Any

import pytest

from obswriter.testing import capture
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import http_scope
from obswriter_testsupport.differential import (
    ABSENT,
    SECONDS,
    TRACEPARENT,
    Intended,
    differences,
    expected,
    opentelemetry,
    our_span,
    their_span,
)

fastapi = pytest.importorskip("fastapi")

from starlette.responses import Response, StreamingResponse  # noqa: E402

HEADERS = [("host", "shop.example:8443"), ("user-agent", "tester/1")]


def caller(*values: str, state: str = "") -> list[tuple[str, str]]:
    states = [("tracestate", state)] if state else []
    return [*HEADERS, *(("traceparent", value) for value in values), *states]


REQUESTS: dict[str, dict[str, Any]] = {
    "route": {"path": "/items/7"},
    "query": {"path": "/items/7", "query_string": b"token=abc&page=%202"},
    "included": {"path": "/api/users/anna"},
    "mounted": {"path": "/shop/orders/5"},
    "nowhere": {"path": "/nowhere"},
    "nowhere-mounted": {"path": "/shop/nowhere"},
    "not-allowed": {"path": "/items/7", "method": "POST"},
    "head": {"path": "/items/7", "method": "HEAD"},
    "unknown-method": {"path": "/items/7", "method": "BREW"},
    "small-letters": {"path": "/items/7", "method": "get"},
    "raises": {"path": "/fails"},
    "answers-503": {"path": "/answers/503"},
    "answers-404": {"path": "/answers/404"},
    "invalid": {"path": "/items/seven"},
    "stream": {"path": "/stream"},
    "called": {"path": "/items/7", "headers": caller(TRACEPARENT, state="a=b")},
    "called-twice": {"path": "/items/7", "headers": caller(TRACEPARENT, TRACEPARENT)},
    "called-wrong": {"path": "/items/7", "headers": caller(TRACEPARENT.upper())},
    "called-later": {"path": "/items/7", "headers": caller(f"01{TRACEPARENT[2:]}-more")},
    "called-unsampled": {"path": "/items/7", "headers": caller(f"{TRACEPARENT[:-1]}0")},
    "websocket": {"path": "/chat/7", "type": "websocket", "scheme": "ws"},
}
UNRECORDED = "called-unsampled"  # by OpenTelemetry
CALLED = "called called-twice called-wrong called-later"
CONVERSATION = [
    {"type": "websocket.connect"},
    {"type": "websocket.receive", "text": "hello"},
    {"type": "websocket.disconnect", "code": 1000},
]


def application() -> Any:
    app, router, shop = fastapi.FastAPI(), fastapi.APIRouter(), fastapi.FastAPI()

    @app.get("/items/{item_id}")
    def item(item_id: int) -> int:
        return item_id

    @router.get("/users/{name}")
    def user(name: str) -> str:
        return name

    @shop.get("/orders/{number}")
    def order(number: int) -> int:
        return number

    @app.get("/fails")
    def fails() -> None:
        raise LookupError("out of tea")

    @app.get("/answers/{status}")
    def answers(status: int) -> Any:
        return Response(status_code=status)

    @app.get("/stream")
    def stream() -> Any:
        return StreamingResponse(iter([b"a", b"b"]))

    async def chat(socket: fastapi.WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    chat.__annotations__["socket"] = fastapi.WebSocket
    app.add_api_websocket_route("/chat/{room}", chat)
    app.include_router(router, prefix="/api")
    app.mount("/shop", shop)
    return app


async def ask(app: Any, **request: Any) -> list[Any]:
    """Return the messages *app* sends; what it raises goes to nobody, as with most servers."""
    scope = http_scope(**{"headers": HEADERS, **request})
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    if scope["type"] == "websocket":
        del scope["method"]
        messages = iter(CONVERSATION)
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except LookupError as error:
        sent.append(str(error))
    return sent


async def compare(observed: Any, provider: Any) -> dict[Any, Any]:
    """Return all differences of all requests; the answers are the same."""
    ours = ObservabilityMiddleware(application())
    found: dict[Any, Any] = {}
    for name, request in REQUESTS.items():
        answer = await ask(observed, **request)
        with capture() as captured:
            assert await ask(ours, **request) == answer
            found |= differences(name, their_span(provider), our_span(captured))
    return found


ENDPOINT = "the endpoint's own time is told from that of middleware and routing"
NAMED_BY_CLIENT = "the server is the one that the client named, and the port is no part of its name"
SOCKET = "a port that is new with each connection says nothing; the conventions leave it out"
UNROUTED = "a name has few values: a route's template, never a path"
ROUTE = "its middleware sees no routing"
MOUNT = "the template goes on below the mount"
WEBSOCKET = "a handshake is a request with a method and the status 101; what follows is counted"

EVERY_PEER = [
    Intended("below", [], ["item"], ENDPOINT, f"route query invalid {CALLED}"),
    Intended("below", [], ["user"], ENDPOINT, "included"),
    Intended("below", [], ["order"], ENDPOINT, "mounted"),
    Intended("below", [], ["fails"], ENDPOINT, "raises"),
    Intended("below", [], ["answers"], ENDPOINT, "answers-503 answers-404"),
    Intended("below", [], ["stream"], ENDPOINT, "stream"),
    Intended(
        "url.query", "token=abc&page=%202", "token=REDACTED&page=%202",
        "what is named like a secret is taken out", "query",
    ),
    Intended(
        "obswriter.time_to_first_byte", ABSENT, SECONDS,
        "of a stream, its end alone says little", "stream",
    ),
    Intended(
        "parent", "b7ad6b7169203331", None,
        "W3C: with more than one traceparent a new trace begins", "called-twice",
    ),
    Intended("trace", "the caller's", "new", "the same", "called-twice"),
    Intended(
        "recorded", False, True,
        "a sample_rate of 1.0 keeps everything; below it, the caller's flag decides", UNRECORDED,
    ),
    Intended(
        "http.request.method", "GET", "_OTHER",
        "methods are case-sensitive, and the framework answers 405", "small-letters",
    ),
]  # fmt: skip

OF_ASGI = [
    *EVERY_PEER,
    *(
        Intended(field, theirs, ours, reason, request)
        for request in REQUESTS
        if request != UNRECORDED
        for field, theirs, ours, reason in (
            ("server.address", "192.0.2.2:8000", "shop.example", NAMED_BY_CLIENT),
            ("server.port", 8000, 8443, NAMED_BY_CLIENT),
            ("client.port", 50000, ABSENT, SOCKET),
        )
    ),
    Intended("http.request.method", ABSENT, "GET", WEBSOCKET, "websocket"),
    Intended("http.response.status_code", 200, 101, WEBSOCKET, "websocket"),
    Intended("network.protocol.name", ABSENT, "websocket", WEBSOCKET, "websocket"),
    Intended("code.function.name", ABSENT, f"{__name__}.application.<locals>.chat",
             "a connection has one span, which names its endpoint", "websocket"),
    Intended("obswriter.websocket.close_code", ABSENT, 1000, WEBSOCKET, "websocket"),
    Intended("obswriter.websocket.messages_received", ABSENT, 1, WEBSOCKET, "websocket"),
    Intended("obswriter.websocket.messages_received.size", ABSENT, 5, WEBSOCKET, "websocket"),
    Intended("obswriter.websocket.messages_sent", ABSENT, 1, WEBSOCKET, "websocket"),
    Intended("obswriter.websocket.messages_sent.size", ABSENT, 5, WEBSOCKET, "websocket"),
    Intended("error.type", "500", "LookupError",
             "the type of an exception says more than that there was one", "raises"),
]  # fmt: skip

ROUTES = {
    "GET /items/7": ("/items/{item_id}", f"route query {CALLED}"),
    "GET /items/seven": ("/items/{item_id}", "invalid"),
    "GET /api/users/anna": ("/api/users/{name}", "included"),
    "GET /shop/orders/5": ("/shop/orders/{number}", "mounted"),
    "POST /items/7": ("/items/{item_id}", "not-allowed"),
    "HEAD /items/7": ("/items/{item_id}", "head"),
    "HTTP /items/7": ("/items/{item_id}", "unknown-method"),
    "GET /fails": ("/fails", "raises"),
    "GET /answers/503": ("/answers/{status}", "answers-503"),
    "GET /answers/404": ("/answers/{status}", "answers-404"),
    "GET /stream": ("/stream", "stream"),
}
PLAIN = [
    *OF_ASGI,
    *(Intended("http.route", ABSENT, route, ROUTE, on) for route, on in ROUTES.values()),
    *(
        Intended("name", name, f"{name.split()[0]} {route}", UNROUTED, on)
        for name, (route, on) in ROUTES.items()
        if not name.endswith(route)
    ),
    Intended("http.route", ABSENT, "/items/{item_id}", ROUTE, "small-letters"),
    Intended("http.route", ABSENT, "/chat/{room}", ROUTE, "websocket"),
    Intended("name", "GET /items/7", "HTTP /items/{item_id}", UNROUTED, "small-letters"),
    Intended("name", "HTTP /chat/7", "GET /chat/{room}", UNROUTED, "websocket"),
    Intended("name", "GET /nowhere", "GET", UNROUTED, "nowhere"),
    Intended("name", "GET /shop/nowhere", "GET", UNROUTED, "nowhere-mounted"),
    Intended("exceptions", [], [("LookupError", "out of tea", True)],
             "its span has ended with the response when the exception comes", "raises"),
]  # fmt: skip

FASTAPI = [
    *OF_ASGI,
    Intended("name", "GET /shop", "GET /shop/orders/{number}", MOUNT, "mounted"),
    Intended("http.route", "/shop", "/shop/orders/{number}", MOUNT, "mounted"),
    Intended("name", "GET /shop", "GET", "below the mount there is no such route",
             "nowhere-mounted"),
    Intended("http.route", "/shop", ABSENT, "the same", "nowhere-mounted"),
    Intended("name", "HTTP /chat/{room}", "GET /chat/{room}", WEBSOCKET, "websocket"),
    Intended("name", "GET /items/{item_id}", "HTTP /items/{item_id}",
             "an unknown method is HTTP in a name", "small-letters"),
]  # fmt: skip

STARLETTE = [
    *EVERY_PEER,
    Intended("recorded", False, True, "it leaves WebSockets out", "websocket"),
    Intended("name", "GET /users/{name}", "GET /api/users/{name}",
             "the prefix of an included router is part of the template", "included"),
    Intended("http.route", "/users/{name}", "/api/users/{name}", "the same", "included"),
    Intended("name", "GET /items/{item_id}", "HTTP /items/{item_id}",
             "an unknown method is HTTP in a name", "small-letters"),
    Intended("name", "BREW /items/{item_id}", "HTTP /items/{item_id}", "the same",
             "unknown-method"),
    Intended("http.request.method", "BREW", "_OTHER",
             "clients may send any word: the conventions name them all _OTHER", "unknown-method"),
    Intended("http.request.method_original", ABSENT, "BREW", "the same", "unknown-method"),
]  # fmt: skip


async def test_beside_opentelemetrys_asgi_middleware(monkeypatch: pytest.MonkeyPatch) -> None:
    with opentelemetry(monkeypatch, "opentelemetry.instrumentation.asgi") as provider:
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        options: Any = {"tracer_provider": provider, "exclude_spans": ["send", "receive"]}
        found = await compare(OpenTelemetryMiddleware(application(), **options), provider)
    assert found == expected(PLAIN, REQUESTS)


async def test_beside_opentelemetrys_instrumentation_of_fastapi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opentelemetry(monkeypatch, "opentelemetry.instrumentation.fastapi") as provider:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        observed = application()
        options: Any = {"tracer_provider": provider, "exclude_spans": ["send", "receive"]}
        FastAPIInstrumentor.instrument_app(observed, **options)
        try:
            found = await compare(observed, provider)
        finally:
            FastAPIInstrumentor.uninstrument_app(observed)
    assert found == expected(FASTAPI, REQUESTS)


async def test_beside_starlettes_own_middleware(monkeypatch: pytest.MonkeyPatch) -> None:
    with opentelemetry(monkeypatch, "starlette.middleware.opentelemetry") as provider:
        from starlette.middleware.opentelemetry import OpenTelemetryMiddleware

        observed = OpenTelemetryMiddleware(application(), tracer_provider=provider)
        found = await compare(observed, provider)
    assert found == expected(STARLETTE, REQUESTS)
