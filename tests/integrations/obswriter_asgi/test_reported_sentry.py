"""What users of Sentry's integrations of Starlette and FastAPI reported, and what happens here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import http_scope

fastapi = pytest.importorskip("fastapi")

from starlette.applications import Starlette  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.responses import PlainTextResponse, Response  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

if TYPE_CHECKING:
    from obswriter.testing import Captured


class AsksTooOften(BaseException):
    """A message more than the client sends would be waited for until the end of days."""


def watched(app: Any) -> Any:
    """Return *app* with the middleware, on a server that hangs up who reads the body twice."""

    async def server(scope: Any, receive: Any, send: Any) -> None:
        complete = False

        async def receive_once() -> Any:
            nonlocal complete
            if complete:
                raise AsksTooOften
            message = await receive()
            complete = not message.get("more_body", False)
            return message

        await ObservabilityMiddleware(app)(scope, receive_once, send)

    return TestClient(server, raise_server_exceptions=False)


async def read_by_hand(request: Any) -> Response:
    found, more = b"", True
    while more:
        message = await request.receive()
        found, more = found + message["body"], message.get("more_body", False)
    return PlainTextResponse(found)


async def read_as_body(request: Any) -> Response:
    return PlainTextResponse(await request.body())


async def read_as_asgi(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse((await receive())["body"])(scope, receive, send)


async def leave_unread(request: Any) -> Response:
    return PlainTextResponse("unread")


BODIES = Starlette(
    routes=[
        Route("/hand", read_by_hand, methods=["POST"]),
        Route("/body", read_as_body, methods=["POST"]),
        Route("/unread", leave_unread, methods=["POST"]),
        Mount("/asgi", read_as_asgi),
    ]
)


@pytest.mark.parametrize("path", ["/hand", "/body", "/asgi", "/unread"])
def test_a_body_is_read_by_whoever_wants_it(captured: Captured, path: str) -> None:
    """getsentry/sentry-python#7285: StarletteIntegration eagerly drains the ASGI receive channel
    for request bodies under max_request_body_size, breaking handlers that read the body themselves
    afterward; #4764: Requests to fastapi-mcp hangs if Sentry is enabled.
    """
    wanted = "unread" if path == "/unread" else "tea"
    assert watched(BODIES).post(path, content=b"tea").text == wanted


def test_a_middleware_may_read_the_body_first(captured: Captured) -> None:
    """getsentry/sentry-python#1573: Problem accessing to the request body after configure Sentry
    in FastAPI.
    """
    seen = []

    class Logging(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            seen.append(await request.body())
            response: Response = await call_next(request)
            return response

    app = Starlette(routes=BODIES.routes)
    app.add_middleware(Logging)
    assert watched(app).post("/body", content=b"tea").text == "tea"
    assert seen == [b"tea"]


def test_a_file_is_uploaded(captured: Captured) -> None:
    """getsentry/sentry-python#1675: RuntimeError: Stream consumed when reading body with
    startlette (bug since 1.9.10).
    """
    files = {"file": ("tea.png", b"\x89PNG\r\n", "image/png")}
    assert "\x89PNG" in watched(BODIES).post("/body", files=files).content.decode("latin-1")


def test_an_exception_of_a_middlewares_own_receive_arrives(captured: Captured) -> None:
    """getsentry/sentry-python#4827: Sentry FastAPI middleware hangs if user middleware raises an
    exception.
    """

    class Unpacking:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def unpack() -> Any:
                raise fastapi.HTTPException(422, "no gzip")

            await self.app(scope, unpack, send)

    app = fastapi.FastAPI()
    app.add_api_route("/", read_as_body_of_fastapi, methods=["POST"])
    app.add_middleware(Unpacking)
    assert watched(app).post("/", content=b"tea").status_code == 422
    assert captured.one("span", spanKind="server")["status"] == "unset"


async def read_as_body_of_fastapi(request: fastapi.Request) -> Any:
    return (await request.body()).decode()


@pytest.mark.parametrize(
    ("method", "path", "name"), [("GET", "/nowhere", "GET"), ("OPTIONS", "/", "OPTIONS")]
)
def test_what_no_route_answers_has_a_name(
    captured: Captured, method: str, path: str, name: str
) -> None:
    """getsentry/sentry-python#2263: FastAPI requests handled by middleware are always "generic
    ASGI request".
    """

    class Answering(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204)
            response: Response = await call_next(request)
            return response

    app = fastapi.FastAPI()
    app.add_middleware(Answering)
    watched(app).request(method, path)
    assert captured.one("span")["name"] == name


def test_applications_on_hosts_of_their_own_keep_their_routes(captured: Captured) -> None:
    """getsentry/sentry-python#2631: Support hosted/mounted sub applications on FastAPI."""
    app, shop, api = fastapi.FastAPI(), fastapi.FastAPI(), fastapi.FastAPI()
    shop.add_api_route("/carts/{cart}", lambda cart: cart)
    api.add_api_route("/items/{item}", lambda item: item)
    app.host("shop.example", shop)
    app.host("api.example", api)
    app.mount("/api", api)
    client = watched(app)
    for url in ("http://shop.example/carts/7", "http://api.example/items/7", "/api/items/7"):
        assert client.get(url).status_code == 200
    assert [span["name"] for span in captured.events("span", spanKind="server")] == [
        "GET /carts/{cart}", "GET /items/{item}", "GET /api/items/{item}",
    ]  # fmt: skip


def test_behind_a_middleware_there_is_one_exception_and_it_is_the_applications(
    captured: Captured,
) -> None:
    """getsentry/sentry-python#2410: FastAPI: Adding middleware causes an issue to capture extra
    exceptions.
    """

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            response: Response = await call_next(request)
            return response

    def fails() -> None:
        raise LookupError("out of tea")

    app = fastapi.FastAPI()
    app.add_api_route("/", fails)
    app.add_middleware(Passing)
    watched(app).get("/")
    events = [event for span in captured.events("span") for event in span.get("events", ())]
    assert [event["attributes"]["exception.type"] for event in events] == ["LookupError"]
    assert "WouldBlock" not in events[0]["attributes"]["exception.stacktrace"]


async def test_receive_send_and_endpoints_may_be_partials(captured: Captured) -> None:
    """getsentry/sentry-python#1701: Starlette "send_patched" broken: 'functools.partial' object
    has no attribute '__name__'.
    """

    async def endpoint(shop: str, request: Any) -> Response:
        return PlainTextResponse(shop)

    async def receive(server: Any) -> Any:
        return {"type": "http.request", "body": b""}

    async def send(sent: list[Any], message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    app = Starlette(routes=[Route("/", functools.partial(endpoint, "tea"))])
    observed = ObservabilityMiddleware(app)
    await observed(http_scope(), functools.partial(receive, None), functools.partial(send, sent))
    assert sent[1]["body"] == b"tea"
    assert captured.one("span", spanKind="internal")["name"] == "endpoint"
