"""What users of OpenTelemetry's instrumentation reported, and what happens here instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call, http_scope

fastapi = pytest.importorskip("fastapi")

from fastapi.middleware.cors import CORSMiddleware  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.background import BackgroundTask  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.responses import JSONResponse, PlainTextResponse, Response  # noqa: E402
from starlette.routing import Host, Route, Router, WebSocketRoute  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

if TYPE_CHECKING:
    from obswriter.testing import Captured


def client_of(app: Any, **options: Any) -> Any:
    """Return a client of *app* with the middleware around it."""
    return TestClient(ObservabilityMiddleware(app, **options), raise_server_exceptions=False)


def one_route(endpoint: Any, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])], **options)


def fails(request: Any) -> Response:
    raise LookupError("out of tea")


@pytest.mark.parametrize("value", [b"\xe9", b"\xff\xfe", b"a\xc3\x28"])
async def test_a_header_that_is_no_utf8_harms_nobody(captured: Captured, value: bytes) -> None:
    """open-telemetry/opentelemetry-python-contrib#1478: Instrumentation raises uncaught exception
    on non utf-8 request header sequences; #1814: [asgi] Headers with special characters cause the
    request to fail.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    options: Any = {"request_headers": ["*"], "trusted_proxies": ["192.0.2.1"]}
    names = b"x-shop", b"user-agent", b"host", b"forwarded", b"tracestate", b"baggage"
    scope = http_scope() | {"headers": [(name, value) for name in names]}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await ObservabilityMiddleware(app, **options)(scope, None, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start", "http.response.body"]
    attributes = captured.one("span")["attributes"]
    assert attributes["http.request.header.x-shop"] == [value.decode("latin-1")]


async def test_the_root_path_is_part_of_the_path_already(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#2476: opentelemetry-instrumentation-asgi:
    root_path is handled not compliant to asgi spec.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    await call(ObservabilityMiddleware(app), "/shop/items", root_path="/shop")
    assert captured.one("span")["attributes"]["url.path"] == "/shop/items"


def test_a_host_is_a_route_without_a_path(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#3506: Starlette/FastAPI: host-based routing
    raises `AttributeError`.
    """
    app = Starlette(routes=[Host("testserver", Router([Route("/items", fails)]))])
    assert client_of(app).get("/").status_code == 404
    assert captured.one("span")["name"] == "GET"


def test_a_preflight_of_an_included_route_is_answered(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#4732: FastAPI instrumentation: AttributeError on
    Match.PARTIAL when route has no `.path` attribute (_IncludedRouter from include_router()).
    """
    app, router = fastapi.FastAPI(), fastapi.APIRouter()
    router.add_api_route("/items", list, methods=["GET"])
    app.include_router(router, prefix="/api")
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    asked = {"origin": "https://shop.example", "access-control-request-method": "GET"}
    client = client_of(app)
    assert client.options("/api/items", headers=asked).status_code == 200
    assert client.options("/api/items").status_code == 405
    preflight, plain = captured.events("span")
    assert (preflight["name"], plain["name"]) == ("OPTIONS", "OPTIONS /api/items")


def test_an_exception_is_recorded_although_the_response_is_complete(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#3637: FastAPI instrumentor stops recording
    exception event starting v0.55b0.
    """
    assert client_of(one_route(fails)).get("/").status_code == 500
    [event] = captured.one("span", spanKind="server")["events"]
    assert event["attributes"]["exception.message"] == "out of tea"


def test_a_hook_that_fails_leaves_the_handlers_answer_alone(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#3642: FastAPI instrumentation: errors in hooks
    not handled properly.
    """

    def hook(span: Any, scope: Any) -> None:
        raise RuntimeError("the hook's own")

    async def oops(request: Any, error: Exception) -> Response:
        return JSONResponse({"message": "Oops!"}, status_code=200)

    app = one_route(fails, exception_handlers={Exception: oops})
    response = client_of(app, on_request=hook, on_response=hook).get("/")
    assert (response.status_code, response.json()) == (200, {"message": "Oops!"})


@pytest.mark.parametrize("inside", [True, False])
def test_an_exception_nobody_handles_is_a_500(captured: Captured, inside: bool) -> None:
    """open-telemetry/opentelemetry-python-contrib#3389: Include `http.status_code` for FastAPI
    unhandled exceptions.
    """
    app: Any = one_route(fails)
    if inside:
        app.add_middleware(ObservabilityMiddleware)
        TestClient(app, raise_server_exceptions=False).get("/")
    else:
        client_of(app).get("/")
    attributes = captured.one("span", spanKind="server")["attributes"]
    assert attributes["http.response.status_code"] == 500


def test_what_the_handler_of_exceptions_logs_belongs_to_the_request(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python#3477: TraceId, SpanId 0 in logs from exception handler
    for Exception class - FastAPI app; opentelemetry-python-contrib#3007: [FastAPI] exception
    handler always has span_id is 0. With the middleware around the application, as the handler
    runs outside of all that an application has inside.
    """

    async def handle(request: Any, error: Exception) -> Response:
        obswriter.log("error", "handled")
        return PlainTextResponse("sorry", status_code=500)

    assert client_of(one_route(fails, exception_handlers={Exception: handle})).get("/").text
    log, server = captured.one("log"), captured.one("span", spanKind="server")
    assert log["traceId"] == server["traceId"]


def test_a_body_in_many_parts_makes_no_more_spans(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#2343: opentelemetry-instrumentation-asgi is
    extremely noisy.
    """

    async def size(request: Any) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    assert client_of(one_route(size)).post("/", content=[b"x" * 1000] * 40).text == "40000"
    assert [span["name"] for span in captured.events("span")] == ["size", "POST /"]


def test_a_long_conversation_is_one_span(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#505: Update ASGI instrumentation to better
    handle websockets communication.
    """

    async def echo(socket: Any) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/", echo)])
    with client_of(app).websocket_connect("/") as socket:
        for number in range(20):
            socket.send_text(str(number))
            assert socket.receive_text() == str(number)
    attributes = captured.one("span")["attributes"]
    assert attributes["obswriter.websocket.messages_sent"] == 20


def test_the_route_is_among_the_attributes_of_a_duration(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#1316: Route included in metrics
    auto-instrumentation ASGI; #3310: ASGI instrumentation metrics don't align with the semantic
    conventions.
    """
    app = Starlette(routes=[Route("/items/{item}", lambda request: Response())])
    client_of(app, metrics=True).get("/items/7")
    metric = captured.one("metric", name="http.server.request.duration")
    assert metric["unit"] == "s"
    assert metric["attributes"] == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/items/{item}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }


def test_a_middleware_that_logs_after_the_response_has_the_trace(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python#3024: Starlette logging middleware extensions lose the
    trace and span context in FastAPI.
    """

    class Logging(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            response: Response = await call_next(request)
            obswriter.log("info", "answered")
            return response

    app = one_route(lambda request: Response())
    app.add_middleware(Logging)
    app.add_middleware(ObservabilityMiddleware)
    TestClient(app).get("/")
    assert captured.one("log")["traceId"] == captured.one("span", spanKind="server")["traceId"]


def test_what_a_task_does_is_within_a_span_that_lasts_as_long(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#4251: [fastapi] BackgroundTasks produce child
    spans that outlive their closed parent span.
    """

    def deliver() -> None:
        with obswriter.span("query"):
            pass

    client_of(one_route(lambda r: Response(background=BackgroundTask(deliver)))).get("/")
    task, query = captured.one("span", name="deliver"), captured.one("span", name="query")
    assert query["parentSpanId"] == task["id"]
    assert query["endTime"] <= task["endTime"]


async def test_a_callers_traceparent_switches_no_recording_off(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#2584: Traceparent header can disable trace
    recording when TraceContextTextMapPropagator is used.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    await call(ObservabilityMiddleware(app), headers=[("traceparent", parent)])
    assert captured.one("span")["parentSpanId"] == "b7ad6b7169203331"
