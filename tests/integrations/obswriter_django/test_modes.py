"""The site's mode is the middleware's: no thread more than without it, and the context is right."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import SyncToAsync
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from obswriter import context
from obswriter.testing import capture

if TYPE_CHECKING:
    from obswriter.testing import Captured

OURS = "obswriter_django.ObservabilityMiddleware"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}"


def sync_view(request: Any) -> Any:
    return HttpResponse("ok")


async def async_view(request: Any) -> Any:
    return HttpResponse("ok")


async def fails(request: Any) -> Any:
    raise LookupError("out of tea")


async def ask_asgi(headers: list[tuple[bytes, bytes]]) -> list[Any]:
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"testserver"), *headers],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    return sent


@pytest.mark.parametrize("view", [sync_view, async_view, fails])
async def test_no_request_takes_more_threads_than_without(
    asgi_site: Any, captured: Captured, monkeypatch: pytest.MonkeyPatch, view: Any
) -> None:
    hops: list[Any] = []
    original = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        hops.append(self.func)
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    asgi_site.has(path("", view))
    counts = []
    for middleware in ([], [OURS]):
        asgi_site.settings.MIDDLEWARE = middleware
        hops.clear()
        await ask_asgi([])
        counts.append(len(hops))
    # Django asks every process_exception in a thread, in one go: that is where it calls ours.
    assert counts[1] == counts[0]
    assert captured.one("span", spanKind="server")


@pytest.mark.parametrize("values", [["1", "1"], ["1", "0"]])
async def test_two_traceparents_name_no_caller(
    asgi_site: Any, captured: Captured, values: list[str]
) -> None:
    asgi_site.has(path("", async_view))
    await ask_asgi([(b"traceparent", PARENT.format(value).encode()) for value in values])
    assert "parentSpanId" not in captured.one("span", spanKind="server")


async def test_states_and_baggage_of_several_headers_are_combined(
    asgi_site: Any, captured: Captured
) -> None:
    from obswriter.propagation import inject

    carrier: dict[str, str] = {}

    async def view(request: Any) -> Any:
        inject(carrier)
        return HttpResponse()

    asgi_site.has(path("", view))
    several = [(b"tracestate", b"a=1"), (b"tracestate", b"b=2"), (b"baggage", b"x=1"),
               (b"baggage", b"y=2")]  # fmt: skip
    await ask_asgi([(b"traceparent", PARENT.format(1).encode()), *several])
    assert (carrier["tracestate"], carrier["baggage"]) == ("a=1,b=2", "x=1,y=2")


@pytest.mark.parametrize("view", [fails, async_view])
async def test_active_requests_never_leak(asgi_site: Any, captured: Captured, view: Any) -> None:
    asgi_site.settings.OBSWRITER = {"METRICS": True}
    asgi_site.has(path("", view))
    await ask_asgi([])
    active = captured.events("metric", name="http.server.active_requests")
    assert [event["value"] for event in active] == [1, 0]
    assert context.current() is None


def raises(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        raise KeyboardInterrupt

    return middleware


def test_active_requests_never_leak_where_a_worker_is_stopped(
    wsgi_site: Any, captured: Captured
) -> None:
    wsgi_site.settings.OBSWRITER = {"METRICS": True}
    wsgi_site.settings.MIDDLEWARE = [OURS, f"{__name__}.raises"]
    with pytest.raises(KeyboardInterrupt):
        wsgi_site.get("/")
    active = captured.events("metric", name="http.server.active_requests")
    assert [event["value"] for event in active] == [1, 0]


@pytest.mark.parametrize(
    ("rate", "flags", "count"), [(0, None, 0), (0, "1", 2), (0.5, "0", 0), (1, "0", 2)]
)
def test_a_callers_flag_decides_what_is_sampled(
    site: Any, rate: float, flags: str | None, count: int
) -> None:
    site.has(path("", sync_view))
    headers = {"traceparent": PARENT.format(flags)} if flags else {}
    with capture(sample_rate=rate) as captured:
        site.get("/", headers=headers)
        assert len(captured.events("span")) == count


def test_errors_are_kept_on_request(site: Any) -> None:
    site.has(path("ok/", sync_view), path("", fails))
    with capture(sample_rate=0, sample_errors=True) as captured:
        site.get("/ok/")
        site.get("/")
        assert [span["name"] for span in captured.events("span")] == ["fails", "GET /"]


def test_a_secret_header_is_recorded_without_its_value(site: Any, captured: Captured) -> None:
    site.settings.OBSWRITER = {"REQUEST_HEADERS": ["*"]}
    site.has(path("", sync_view))
    site.get("/", headers={"authorization": "Bearer abc", "x-shop": "tea"})
    attributes = captured.one("span", spanKind="server")["attributes"]
    assert attributes["http.request.header.x-shop"] == ["tea"]
    assert "abc" not in str(attributes)


def test_a_test_of_djangos_has_the_events_it_caused(wsgi_site: Any, obswriter_events: Any) -> None:
    wsgi_site.has(path("", sync_view))
    Client().get("/")
    assert obswriter_events.one("span", name="GET /")["status"] == "unset"
