"""One site, driven through OpenTelemetry and through obswriter: each difference is meant.

A difference that is not in the lists fails, and so does one in the lists that is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

from obswriter.testing import capture
from obswriter_testsupport.differential import (
    ABSENT,
    TRACEPARENT,
    Intended,
    differences,
    expected,
    opentelemetry,
    our_span,
    their_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ["obswriter_django.ObservabilityMiddleware"]


def item(request: Any, **kwargs: Any) -> Any:
    return HttpResponse("tea")


def fails(request: Any) -> Any:
    raise LookupError("out of tea")


def answers(request: Any, status: int) -> Any:
    return HttpResponse(status=status)


def stream(request: Any) -> Any:
    async def chunks() -> Any:
        yield b"ab"

    return StreamingHttpResponse(chunks() if hasattr(request, "scope") else iter([b"ab"]))


URLS = (
    path("", item),
    path("items/<int:pk>/", item, name="item"),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", item),
    path("api/", include(([path("users/<str:name>/", item, name="user")], "api"))),
    path("fails/", fails),
    path("answers/<int:status>/", answers),
    path("stream/", stream),
)

REQUESTS: dict[str, dict[str, Any]] = {
    "root": {"path": "/"},
    "route": {"path": "/items/7/"},
    "query": {"path": "/items/7/?token=abc&page=%202"},
    "pattern": {"path": "/archive/2026/"},
    "included": {"path": "/api/users/anna/"},
    "nowhere": {"path": "/nowhere/"},
    "slash-missing": {"path": "/items/7"},
    "head": {"path": "/items/7/", "method": "HEAD"},
    "unknown-method": {"path": "/items/7/", "method": "BREW"},
    "raises": {"path": "/fails/"},
    "answers-503": {"path": "/answers/503/"},
    "answers-404": {"path": "/answers/404/"},
    "stream": {"path": "/stream/"},
    "called": {"path": "/items/7/", "headers": {"traceparent": TRACEPARENT, "tracestate": "a=b"}},
    "called-wrong": {"path": "/items/7/", "headers": {"traceparent": TRACEPARENT.upper()}},
    "called-later": {"path": "/items/7/", "headers": {"traceparent": f"01{TRACEPARENT[2:]}-x"}},
    "called-unsampled": {"path": "/items/7/", "headers": {"traceparent": f"{TRACEPARENT[:-1]}0"}},
}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, site: Any) -> Iterator[Any]:
    """OpenTelemetry's provider, while its middleware is the first of the site."""
    with opentelemetry(monkeypatch, "opentelemetry.instrumentation.django") as provider:
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        site.has(*URLS)
        site.settings.MIDDLEWARE = []
        instrumentor = DjangoInstrumentor()
        instrumentor.instrument(tracer_provider=provider)
        try:
            yield provider
        finally:
            instrumentor.uninstrument()


def ask(site: Any, request: dict[str, Any]) -> Any:
    headers = {"user-agent": "tester/1", **request.get("headers", {})}
    return site.request(request.get("method", "GET"), request["path"], headers=headers)


SEEN = {  # the path as OpenTelemetry names it, as we do, and the requests
    "items/<int:pk>/": (
        "/items/<int:pk>/", "route query head called called-wrong called-later unknown-method",
    ),
    "^archive/(?P<year>[0-9]{4})/$": ("/archive/<year>/", "pattern"),
    "api/users/<str:name>/": ("/api/users/<str:name>/", "included"),
    "fails/": ("/fails/", "raises"),
    "answers/<int:status>/": ("/answers/<int:status>/", "answers-503 answers-404"),
    "stream/": ("/stream/", "stream"),
}  # fmt: skip
UNRECORDED = "called-unsampled"  # by OpenTelemetry
ITEMS = "root route query pattern included head unknown-method called called-wrong called-later"
ROUTE = "a route begins with the path's slash, and reads like one however it was written"
VIEW = "the view's own time is told from that of middleware"
NAMED_BY_CLIENT = "the server is the one that the client named"
ENVIRON = "read from what every server says, and not from REQUEST_URI, which only some do"

EVERYWHERE = [
    *(Intended("http.route", theirs, ours, ROUTE, on) for theirs, (ours, on) in SEEN.items()),
    Intended("http.route", ABSENT, "/", "an empty route is one", "root"),
    *(
        Intended("name", f"{method} {theirs}", f"{method} {ours}", ROUTE, request)
        for theirs, (ours, on) in SEEN.items()
        for request in on.split()
        if (method := REQUESTS[request].get("method", "GET")) != "BREW"
    ),
    Intended("name", "GET", "GET /", "an empty route is one", "root"),
    Intended(
        "name", "HTTP", "HTTP /items/<int:pk>/",
        "an unknown method makes no name; its route does", "unknown-method",
    ),
    Intended("below", [], ["item"], VIEW, ITEMS),
    Intended("below", [], ["fails"], VIEW, "raises"),
    Intended("below", [], ["answers"], VIEW, "answers-503 answers-404"),
    Intended("below", [], ["stream"], VIEW, "stream"),
    Intended(
        "exceptions", [("LookupError", "out of tea", True)], [],
        "recorded once, in the span of the view that raised it", "raises",
    ),
    Intended(
        "error.type", "500", "LookupError",
        "the type of an exception says more than that there was one", "raises",
    ),
    Intended(
        "recorded", False, True,
        "a sample_rate of 1.0 keeps everything; below it, the caller's flag decides", UNRECORDED,
    ),
]  # fmt: skip
QUERY = "token=REDACTED&page=%202"
RECORDED = [(name, r["path"].partition("?")[0]) for name, r in REQUESTS.items()]
UNDER = {
    "wsgi": [
        *EVERYWHERE,
        *(
            Intended(field, ABSENT, ours, reason, name)
            for name, path in RECORDED
            if name != UNRECORDED
            for field, ours, reason in (
                ("url.path", path, ENVIRON),
                ("server.address", "testserver", NAMED_BY_CLIENT),
            )
        ),
        Intended("url.query", ABSENT, QUERY, ENVIRON, "query"),
    ],
    "asgi": [
        *EVERYWHERE,
        *(
            Intended("server.address", "127.0.0.1", "testserver", NAMED_BY_CLIENT, name)
            for name, path in RECORDED
            if name != UNRECORDED
        ),
        Intended(
            "url.query", "token=abc&page=%202", QUERY,
            "what is named like a secret is taken out", "query",
        ),
    ],
}  # fmt: skip


def test_beside_opentelemetrys_instrumentation(site: Any, provider: Any) -> None:
    theirs = site.settings.MIDDLEWARE
    others = ["django.middleware.common.CommonMiddleware"]
    found: dict[Any, Any] = {}
    for name, request in REQUESTS.items():
        site.settings.MIDDLEWARE = [*theirs, *others]
        answer = ask(site, request)
        site.settings.MIDDLEWARE = [*OURS, *others]
        with capture() as captured:
            assert ask(site, request) == answer
            found |= differences(name, their_span(provider), our_span(captured))
    assert found == expected(UNDER["asgi" if site.asynchronous else "wsgi"], REQUESTS)
