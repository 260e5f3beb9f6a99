"""Attributes follow OpenTelemetry's stable HTTP conventions, and W3C's traceparent is joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from obswriter.testing import Captured

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


app = ObservabilityMiddleware(plain)


async def attributes_of(captured: Captured, path: str = "/", **options: Any) -> dict[str, Any]:
    await call(app, path, **options)
    attributes: dict[str, Any] = captured.one("span", spanKind="server")["attributes"]
    return attributes


async def test_a_request_has_the_stable_attributes_and_no_others(captured: Captured) -> None:
    headers = [("Host", "shop.example:8443"), ("User-Agent", "tester/1"), ("Cookie", "secret")]
    options = {"headers": headers, "query_string": b"a=1&b=%20", "scheme": "https"}
    assert await attributes_of(captured, "/items/7", method="POST", **options) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/items/7",
        "url.query": "a=1&b=%20",
        "url.scheme": "https",
        "server.address": "shop.example",
        "server.port": 8443,
        "client.address": "192.0.2.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "tester/1",
    }


async def test_what_a_request_does_not_say_is_left_out(captured: Captured) -> None:
    attributes = await attributes_of(captured, client=None, server=None, http_version="")
    assert set(attributes) == {
        "http.request.method",
        "http.response.status_code",
        "url.path",
        "url.scheme",
    }


@pytest.mark.parametrize(
    ("host", "scheme", "address", "port"),
    [
        ("example.org", "http", "example.org", 80),
        ("example.org", "https", "example.org", 443),
        ("example.org:81", "https", "example.org", 81),
        ("[2001:db8::1]:81", "http", "2001:db8::1", 81),
        ("[2001:db8::1]", "http", "2001:db8::1", 80),
        ("example.org:", "http", "example.org", 80),
        ("example.org:99999999999", "http", "example.org", 80),
    ],
)
async def test_the_server_is_the_one_the_client_named(
    captured: Captured, host: str, scheme: str, address: str, port: int
) -> None:
    attributes = await attributes_of(captured, headers=[("host", host)], scheme=scheme)
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


async def test_without_a_host_header_the_server_is_the_socket(captured: Captured) -> None:
    attributes = await attributes_of(captured)
    assert (attributes["server.address"], attributes["server.port"]) == ("192.0.2.2", 8000)


async def test_a_unix_socket_has_no_port(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#532: Problem with using domain socket as bind
    address.
    """
    attributes = await attributes_of(captured, server=("/run/app.sock", None), client=("", 0))
    assert attributes["server.address"] == "/run/app.sock"
    assert "server.port" not in attributes
    assert "client.address" not in attributes


async def test_headers_that_can_be_read_once_reach_the_application(captured: Captured) -> None:
    seen: list[Any] = []

    async def reads_headers(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await answer(send)

    async def with_iterator(scope: Any, receive: Any, send: Any) -> None:
        scope["headers"] = iter([(b"host", b"example.org")])
        await ObservabilityMiddleware(reads_headers)(scope, receive, send)

    await call(with_iterator)
    assert seen == [(b"host", b"example.org")]


async def test_the_callers_trace_is_joined(captured: Captured) -> None:
    headers = [("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]
    states: list[str] = []

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        span = obswriter.context.current()
        assert span is not None
        states.append(span.tracestate)
        await answer(send)

    await call(ObservabilityMiddleware(looks), headers=headers)
    span = captured.one("span", spanKind="server")
    assert span["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert span["parentSpanId"] == "b7ad6b7169203331"
    assert captured.one("trace")["id"] == span["traceId"]
    assert states == ["a=1,b=2"]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "00-zz-b7ad6b7169203331-01")],
        [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
    ],
    ids=["none", "malformed", "duplicated"],
)
async def test_without_one_valid_traceparent_a_trace_begins(
    captured: Captured, headers: list[tuple[str, str]]
) -> None:
    await call(app, headers=headers)
    span = captured.one("span", spanKind="server")
    assert span["traceId"] != "0af7651916cd43dd8448eb211c80319c"
    assert "parentSpanId" not in span
    assert captured.one("trace")["id"] == span["traceId"]


async def test_called_within_a_span_the_request_is_its_child(captured: Captured) -> None:
    with obswriter.span("caller"):
        await call(app)
    caller, server = captured.one("span", name="caller"), captured.one("span", spanKind="server")
    assert (server["traceId"], server["parentSpanId"]) == (caller["traceId"], caller["id"])
    assert captured.one("trace")["name"] == "caller"


async def test_baggage_and_states_of_several_headers_are_combined(captured: Captured) -> None:
    headers = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=1"),
        ("baggage", "tenant=acme"),
        ("tracestate", "b=2"),
        ("baggage", "user=17"),
    ]
    carriers: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        carriers.append({})
        obswriter.propagation.inject(carriers[-1])
        await answer(send)

    await call(ObservabilityMiddleware(app), headers=headers)
    await call(ObservabilityMiddleware(app), headers=headers[2:3])
    assert (carriers[0]["tracestate"], carriers[0]["baggage"]) == ("a=1,b=2", "tenant=acme,user=17")
    assert carriers[1]["baggage"] == "tenant=acme"  # without a caller, too
