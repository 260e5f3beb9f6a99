"""With the middleware, users, wrapped responses and WebSockets are as they are without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
    requires,
)
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.unchanged import EVERYTHING, get, same

if TYPE_CHECKING:
    from obswriter.testing import Captured


class Basic(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        if "authorization" not in conn.headers:
            return None
        name = conn.headers["authorization"].partition(" ")[2]
        if not name:
            raise AuthenticationError("no name")
        return AuthCredentials(["authenticated"]), SimpleUser(name)


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Response:
        if request.url.path == "/stopped":
            return PlainTextResponse("stopped", status_code=418)
        response = await call_next(request)
        response.headers["x-path"] = request.url.path
        return response


@requires("authenticated", redirect="login")
async def dashboard(request: Any) -> Response:
    return PlainTextResponse(request.user.display_name)


@requires("authenticated", status_code=403)
async def private(request: Any) -> Response:
    return PlainTextResponse("private")


async def login(request: Any) -> Response:
    return PlainTextResponse(str(request.user.is_authenticated))


async def numbers(request: Any) -> Response:
    return StreamingResponse(iter(["1,", "2,"]), media_type="text/plain")


def members() -> Starlette:
    return Starlette(
        routes=[
            Route("/dashboard", dashboard),
            Route("/private", private),
            Route("/login", login, name="login"),
            Route("/numbers", numbers),
        ],
        middleware=[Middleware(Timing), Middleware(AuthenticationMiddleware, backend=Basic())],
    )


def test_users_and_middleware_that_wraps_responses(captured: Captured) -> None:
    known, wrong = {"authorization": "Basic anna"}, {"authorization": "Basic"}
    paths = ["/dashboard", "/private", "/login", "/numbers", "/stopped", "/nowhere"]
    requests = [get(path, headers=headers) for path in paths for headers in ({}, known, wrong)]
    assert {200, 303, 400, 403, 418} <= set(same(members, requests, captured))


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: Any) -> None:
        await websocket.accept(subprotocol="tea", headers=[(b"x-room", b"7")])

    async def on_receive(self, websocket: Any, data: str) -> None:
        await websocket.send_json({"said": data, "room": websocket.path_params["room"]})
        if data == "bye":
            await websocket.close(4001, "left")


async def refused(websocket: Any) -> None:
    await websocket.close(4003)


async def answered(websocket: Any) -> None:
    await websocket.send_denial_response(JSONResponse({"why": "full"}, status_code=503))


def rooms() -> Starlette:
    return Starlette(
        routes=[
            WebSocketRoute("/rooms/{room}", Echo),
            WebSocketRoute("/refused", refused),
            WebSocketRoute("/answered", answered),
        ]
    )


TOLD = ("code", "reason", "status_code", "content")


def converse(app: Any) -> list[Any]:
    found: list[Any] = []
    with TestClient(app) as client:
        with client.websocket_connect("/rooms/7?x=1", subprotocols=["milk", "tea"]) as socket:
            found += socket.accepted_subprotocol, socket.extra_headers
            for said in ("hello", "bye"):
                socket.send_text(said)
                found.append(socket.receive_json())
            found.append(socket.receive())
        for path in ("/refused", "/answered", "/nowhere"):
            with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect(path):
                pass  # pragma: no cover
            found.append({name: getattr(caught.value, name, None) for name in TOLD})
    return found


def test_websockets(captured: Captured) -> None:
    plain = converse(rooms())
    assert [plain[-3]["code"], plain[-2]["status_code"]] == [4003, 503]
    assert converse(ObservabilityMiddleware(rooms(), **EVERYTHING)) == plain
    assert len(captured.events("span", spanKind="server")) == 4
