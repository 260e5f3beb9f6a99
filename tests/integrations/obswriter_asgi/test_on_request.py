"""What the middleware does only where it is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from obswriter.testing import Captured


async def plain(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"X-Shop-Till", b"4"), (b"set-cookie", b"a=b")]
    await answer(send, headers=headers)


def server(captured: Captured) -> dict[str, Any]:
    return captured.one("span", spanKind="server")["attributes"]


HEADERS = [("X-Request-Id", "17"), ("X-Shop", "a"), ("x-shop", "b"), ("Authorization", "Bearer x")]


async def test_no_header_is_recorded_unless_it_is_named(captured: Captured) -> None:
    await call(ObservabilityMiddleware(plain), headers=HEADERS)
    assert not [name for name in server(captured) if ".header." in name]


async def test_headers_are_recorded_by_name_and_by_beginning(captured: Captured) -> None:
    app = ObservabilityMiddleware(
        plain,
        request_headers=["X-Request-ID", "x-sh*", "authorization"],
        response_headers=["x-shop-till", "set-cookie"],
    )
    await call(app, headers=HEADERS)
    found = {name: value for name, value in server(captured).items() if ".header." in name}
    assert found == {
        "http.request.header.x-request-id": ["17"],
        "http.request.header.x-shop": ["a", "b"],
        "http.request.header.authorization": "REDACTED",
        "http.response.header.x-shop-till": ["4"],
        "http.response.header.set-cookie": "REDACTED",
    }


async def test_a_trusted_proxy_names_client_scheme_and_host(captured: Captured) -> None:
    app = ObservabilityMiddleware(plain, trusted_proxies=["192.0.2.0/24"])
    forwarded = [
        ("Host", "backend:8000"),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example.com"),
    ]
    await call(app, headers=forwarded)
    found = server(captured)
    assert found["client.address"] == "198.51.100.7"
    assert found["network.peer.address"] == "192.0.2.1"
    assert found["url.scheme"] == "https"
    assert (found["server.address"], found["server.port"]) == ("shop.example.com", 443)


async def test_nobody_is_trusted_by_default(captured: Captured) -> None:
    await call(ObservabilityMiddleware(plain), headers=[("X-Forwarded-For", "198.51.100.7")])
    assert server(captured)["client.address"] == "192.0.2.1"


async def test_hooks_may_name_what_the_user_knows(captured: Captured) -> None:
    def on_request(span: obswriter.LiveSpan, scope: Any) -> None:
        span.set_attribute("shop.tenant", dict(scope["headers"])[b"x-tenant"].decode())

    def on_response(span: obswriter.LiveSpan, scope: Any, message: Any) -> None:
        span.set_attribute("shop.till", dict(message["headers"])[b"X-Shop-Till"].decode())
        span.set_attribute("shop.path", scope["path"])

    app = ObservabilityMiddleware(plain, on_request=on_request, on_response=on_response)
    await call(app, "/pay", headers=[("X-Tenant", "acme")])
    expected = {"shop.tenant": "acme", "shop.till": "4", "shop.path": "/pay"}
    assert expected.items() <= server(captured).items()


async def test_a_hook_that_fails_is_said_and_harms_no_request(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("a bug of the user's")

    app = ObservabilityMiddleware(plain, on_request=fail, on_response=fail)
    assert len(await call(app)) == 2
    assert server(captured)["http.response.status_code"] == 200
    assert len([r for r in caplog.records if "hook" in r.getMessage()]) == 2


async def test_the_trace_is_named_in_the_response_on_request(captured: Captured) -> None:
    start, _ = await call(ObservabilityMiddleware(plain, traceresponse=True))
    span = captured.one("span")
    said = dict(start["headers"])[b"traceresponse"].decode()
    assert said == f"00-{span['traceId']}-{span['id']}-03"
    start, _ = await call(ObservabilityMiddleware(plain))
    assert b"traceresponse" not in dict(start["headers"])


async def test_requests_are_measured_on_request(captured: Captured) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse

    async def order(request: Any) -> PlainTextResponse:
        return PlainTextResponse("paid", 503)

    app = Starlette()
    app.add_route("/orders/{id}", order)
    await call(ObservabilityMiddleware(app, metrics=True), "/orders/7")
    duration = captured.one("metric", name="http.server.request.duration")
    assert duration["unit"] == "s"
    assert 0 < duration["value"] < 60
    assert duration["attributes"] == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/orders/{id}",
        "http.response.status_code": 503,
        "error.type": "503",
        "network.protocol.version": "1.1",
    }
    active = captured.events("metric", name="http.server.active_requests")
    assert [event["value"] for event in active] == [1, 0]
    assert active[0]["traceId"] == captured.one("span", spanKind="server")["traceId"]


async def test_active_requests_never_leak(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#4431: Flask instrumentation:
    http.server.active_requests gauge leaks on exception (missing try/finally).
    """

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise BaseException("such as a cancellation")

    for app in (ObservabilityMiddleware(fail, metrics=True), fail):
        with pytest.raises(BaseException, match="such as"):
            await call(app)
    active = captured.events("metric", name="http.server.active_requests")
    assert [event["value"] for event in active] == [1, 0]


async def test_a_pattern_excludes(captured: Captured) -> None:
    app = ObservabilityMiddleware(plain, exclude=[re.compile(r"/items/\d+/image")])
    for path in ("/items/7/image", "/items/7/image/large"):
        await call(app, path)
    assert server(captured)["url.path"] == "/items/7/image/large"


async def test_the_first_byte_of_a_stream_has_its_time(captured: Captured) -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    await call(ObservabilityMiddleware(stream))
    assert 0 < server(captured)["obswriter.time_to_first_byte"] < 60


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request_headers": "x-id"}, r"request_headers must be a sequence .* got 'x-id'"),
        ({"response_headers": ["x id"]}, r"response_headers must hold names .* got 'x id'"),
        ({"on_request": "shop.hook"}, r"on_request must be callable; got 'shop.hook'"),
        ({"metrics": "yes"}, r"metrics must be True or False; got 'yes'"),
        ({"traceresponse": 1}, r"traceresponse must be True or False; got 1"),
        ({"trusted_proxies": ["proxy"]}, r"trusted_proxies must hold addresses .* got 'proxy'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        ObservabilityMiddleware(plain, **options)
