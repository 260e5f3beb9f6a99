"""A request is one trace, one server span, and within it the view's span."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import path
from django.views import View

import obswriter
from obswriter import context
from obswriter_django import ObservabilityMiddleware
from obswriter_logging import ObservabilityHandler

if TYPE_CHECKING:
    from obswriter.testing import Captured

OURS = "obswriter_django.ObservabilityMiddleware"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


def ok(request: Any, **kwargs: Any) -> HttpResponse:
    obswriter.log("info", "in the view")
    return HttpResponse("fine")


async def ok_async(request: Any, **kwargs: Any) -> HttpResponse:
    await asyncio.sleep(0)
    obswriter.log("info", "in the view")
    return HttpResponse("fine")


class Items(View):
    def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        return ok(request)


class AsyncItems(View):
    async def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        return await ok_async(request)


class Callable:
    def __call__(self, request: Any, **kwargs: Any) -> HttpResponse:
        return ok(request)


VIEWS = {
    "function": (ok, "ok"),
    "coroutine function": (ok_async, "ok_async"),
    "class": (Items.as_view(), "Items.get"),
    "asynchronous class": (AsyncItems.as_view(), "AsyncItems.get"),
    "object": (Callable(), "Callable.__call__"),
    "partial": (functools.partial(ok, extra=1), "ok"),
}


@pytest.mark.parametrize(("view", "name"), VIEWS.values(), ids=VIEWS)
def test_every_kind_of_view_has_a_span_within_the_server_span(
    view: Any, name: str, site: Any, captured: Captured
) -> None:
    site.has(path("items/<int:pk>/", view))
    assert site.get("/items/7/").status == 200

    server = captured.one("span", name="GET /items/<int:pk>/")
    inner = captured.one("span", name=name)
    assert server["spanKind"] == "server"
    assert "parentSpanId" not in server
    assert inner["spanKind"] == "internal"
    assert inner["parentSpanId"] == server["id"]
    assert inner["attributes"] == {"code.function.name": f"{__name__}.{name}"}
    assert captured.one("trace", name="GET /items/<int:pk>/")["id"] == server["traceId"]
    assert len(captured.events("span")) == 2


@pytest.mark.parametrize(("view", "name"), VIEWS.values(), ids=VIEWS)
def test_what_a_view_records_belongs_to_its_span(
    view: Any, name: str, site: Any, captured: Captured
) -> None:
    site.has(path("", view))
    site.get("/")
    inner = captured.one("span", name=name)
    log = captured.one("log", message="in the view")
    assert (log["traceId"], log["spanId"]) == (inner["traceId"], inner["id"])


@pytest.mark.parametrize("status", [404, 500])
def test_what_django_logs_of_a_response_belongs_to_its_request(
    status: int, site: Any, captured: Captured
) -> None:
    """Django does so when the middleware is done."""
    logger, handler = logging.getLogger("django.request"), ObservabilityHandler()
    site.has(path("found/", lambda request: HttpResponse(status=500)))
    logger.addHandler(handler)
    try:
        assert site.get("/found/" if status == 500 else "/nowhere/").status == status
    finally:
        logger.removeHandler(handler)
    server, log = captured.one("span", spanKind="server"), captured.one("log")
    assert log["attributes"]["status_code"] == status
    assert (log["traceId"], log["spanId"]) == (server["traceId"], server["id"])


def test_spans_of_a_view_are_children_of_its_span(site: Any, captured: Captured) -> None:
    def view(request: Any) -> HttpResponse:
        with obswriter.span("query"):
            return HttpResponse()

    site.has(path("", view))
    site.get("/")
    inner = captured.one("span", name="view")
    assert captured.one("span", name="query")["parentSpanId"] == inner["id"]


def test_attributes_are_opentelemetrys(wsgi_site: Any, captured: Captured) -> None:
    wsgi_site.has(path("items/<int:pk>/", ok))
    headers = {"host": "shop.example:8443", "user-agent": "tests/1"}
    wsgi_site.get("/items/7/?page=2", headers=headers, secure=True)
    assert captured.one("span", spanKind="server")["attributes"] == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/items/<int:pk>/",
        "url.scheme": "https",
        "url.path": "/items/7/",
        "url.query": "page=2",
        "server.address": "shop.example",
        "server.port": 8443,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "tests/1",
    }


def test_an_unknown_method_makes_no_new_name(site: Any, captured: Captured) -> None:
    site.has(path("", ok))
    site.request("BREW", "/")
    span = captured.one("span", name="HTTP /")
    assert span["attributes"]["http.request.method"] == "_OTHER"
    assert span["attributes"]["http.request.method_original"] == "BREW"


def test_without_a_route_the_name_is_the_method(site: Any, captured: Captured) -> None:
    site.has(path("items/", ok))
    assert site.get("/nowhere/").status == 404
    span = captured.one("span")
    assert span["name"] == "GET"
    assert span["status"] == "unset"
    assert "http.route" not in span["attributes"]
    assert span["attributes"]["http.response.status_code"] == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404("none"), 404),
        (PermissionDenied("no"), 403),
        (BadRequest("what?"), 400),
        (SuspiciousOperation("hm"), 400),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_that_is_an_answer_is_no_error(
    error: Exception, status: int, site: Any, captured: Captured
) -> None:
    def view(request: Any) -> HttpResponse:
        raise error

    site.has(path("", view))
    assert site.get("/").status == status
    for span in captured.events("span"):
        assert span["status"] == "unset"
        assert "events" not in span
        assert "error.type" not in span["attributes"]


def fails(request: Any) -> HttpResponse:
    raise LookupError("lost")


async def fails_async(request: Any) -> HttpResponse:
    raise LookupError("lost")


@pytest.mark.parametrize("view", [fails, fails_async])
def test_an_exception_is_recorded_once_and_both_spans_are_errors(
    view: Any, site: Any, captured: Captured
) -> None:
    site.has(path("", view))
    assert site.get("/").status == 500
    server = captured.one("span", name="GET /")
    inner = captured.one("span", name=view.__name__)
    assert (server["status"], inner["status"]) == ("error", "error")
    assert server["attributes"]["error.type"] == inner["attributes"]["error.type"] == "LookupError"
    assert server["attributes"]["http.response.status_code"] == 500
    assert "events" not in server
    (event,) = inner["events"]
    assert event["attributes"]["exception.message"] == "lost"
    assert "in fails" in event["attributes"]["exception.stacktrace"]
    assert captured.one("trace")["status"] == "error"


def test_a_status_of_5xx_is_an_error_of_that_type(site: Any, captured: Captured) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(status=503)

    site.has(path("", view))
    site.get("/")
    server = captured.one("span", name="GET /")
    assert server["status"] == "error"
    assert server["attributes"]["error.type"] == "503"
    assert captured.one("span", name="view")["status"] == "unset"


def test_an_exception_that_propagates_is_recorded_once(
    wsgi_site: Any, captured: Captured, settings: Any
) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    wsgi_site.has(path("", fails))
    with pytest.raises(LookupError):
        wsgi_site.get("/")
    assert [len(span.get("events", [])) for span in captured.events("span")] == [1, 0]
    assert {span["status"] for span in captured.events("span")} == {"error"}
    assert context.current() is None


def test_an_exception_that_propagates_from_middleware_is_recorded_once(
    wsgi_site: Any, captured: Captured, settings: Any
) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    use(settings, fails_after_the_view)
    wsgi_site.has(path("", ok))
    with pytest.raises(LookupError):
        wsgi_site.get("/")
    server = captured.one("span", name="GET /")
    assert server["attributes"]["error.type"] == "LookupError"
    assert [event["name"] for event in server["events"]] == ["exception"]


class HollowError(Exception):
    """False, though it was raised."""

    def __bool__(self) -> bool:
        return False


def test_an_exception_that_is_false_is_one(site: Any, captured: Captured) -> None:
    def view(request: Any) -> HttpResponse:
        raise HollowError

    site.has(path("", view))
    assert site.get("/").status == 500
    for span in captured.events("span"):
        assert span["attributes"]["error.type"] == f"{__name__}.HollowError"


class Stop(BaseException):
    """What a server raises in a request that takes too long."""


def test_a_request_that_is_stopped_says_by_what(wsgi_site: Any, captured: Captured) -> None:
    def view(request: Any) -> HttpResponse:
        raise Stop

    wsgi_site.has(path("", view))
    with pytest.raises(Stop):
        wsgi_site.get("/")
    for span in captured.events("span"):
        assert span["attributes"]["obswriter.ended_by"] == f"{__name__}.Stop"


# -- among other middleware -------------------------------------------------------------------


def handles_errors(get_response: Any) -> Any:
    class Handler:
        def __call__(self, request: Any) -> Any:
            return get_response(request)

        def process_exception(self, request: Any, exception: Exception) -> HttpResponse:
            return HttpResponse("handled", status=418)

    return Handler()


def fails_before_the_view(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        raise LookupError("in middleware")

    return middleware


def fails_after_the_view(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        get_response(request)
        raise LookupError("in middleware")

    return middleware


def leaves_a_span_open(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        obswriter.span("never ended").__enter__()
        return get_response(request)

    return middleware


def logs_around(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        obswriter.log("info", "before")
        response = get_response(request)
        obswriter.log("info", "after")
        return response

    return middleware


def use(settings: Any, *middleware: Any) -> None:
    settings.MIDDLEWARE = [OURS, *(f"{__name__}.{each.__name__}" for each in middleware)]


def test_an_exception_that_other_middleware_answers_is_theirs(
    site: Any, captured: Captured, settings: Any
) -> None:
    use(settings, handles_errors)
    site.has(path("", fails))
    assert site.get("/").status == 418
    server = captured.one("span", name="GET /")
    assert server["status"] == "unset"
    assert "error.type" not in server["attributes"]


@pytest.mark.parametrize("middleware", [fails_before_the_view, fails_after_the_view])
def test_an_exception_in_other_middleware_is_the_server_spans(
    middleware: Any, site: Any, captured: Captured, settings: Any
) -> None:
    use(settings, middleware)
    site.has(path("", ok))
    assert site.get("/").status == 500
    server = captured.one("span", spanKind="server")
    assert server["attributes"]["error.type"] == "LookupError"
    assert [event["attributes"]["exception.message"] for event in server["events"]] == [
        "in middleware"
    ]
    for view in captured.events("span", name="ok"):
        assert view["status"] == "unset"


def test_synchronous_middleware_between_keeps_the_context(
    site: Any, captured: Captured, settings: Any
) -> None:
    use(settings, logs_around)
    site.has(path("", ok_async))
    site.get("/")
    server = captured.one("span", name="GET /")
    view = captured.one("span", name="ok_async")
    assert captured.one("log", message="before")["spanId"] == server["id"]
    assert captured.one("log", message="in the view")["spanId"] == view["id"]
    assert captured.one("log", message="after")["traceId"] == server["traceId"]


def test_a_span_that_is_left_open_is_not_the_next_requests_parent(
    wsgi_site: Any, captured: Captured, settings: Any
) -> None:
    use(settings, leaves_a_span_open)
    wsgi_site.has(path("", ok))
    wsgi_site.get("/")
    assert context.current() is None
    wsgi_site.get("/")
    assert len({span["traceId"] for span in captured.events("span", name="GET /")}) == 2


def test_twice_in_the_list_it_observes_once(site: Any, captured: Captured, settings: Any) -> None:
    settings.MIDDLEWARE = [OURS, OURS]
    site.has(path("", ok))
    site.get("/")
    assert [span["name"] for span in captured.events("span")] == ["ok", "GET /"]


def test_a_template_that_fails_to_render_is_the_views_error(site: Any, captured: Captured) -> None:
    class Broken(SimpleTemplateResponse):
        @property
        def rendered_content(self) -> str:
            raise LookupError("no template")

    def view(request: Any) -> HttpResponse:
        return Broken("x.html")

    site.has(path("", view))
    assert site.get("/").status == 500
    assert captured.one("span", name="view")["attributes"]["error.type"] == "LookupError"


# -- where a request comes from -----------------------------------------------------------------


def test_traceparent_names_the_parent(site: Any, captured: Captured) -> None:
    site.has(path("", ok))
    headers = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01", "tracestate": "vendor=1"}
    site.get("/", headers=headers)
    server = captured.one("span", name="GET /")
    assert (server["traceId"], server["parentSpanId"]) == (TRACE_ID, CALLER)
    assert captured.one("trace")["id"] == TRACE_ID


def test_a_traceparent_nobody_can_read_begins_a_new_trace(site: Any, captured: Captured) -> None:
    site.has(path("", ok))
    assert site.get("/", headers={"traceparent": "00-zz-1"}).status == 200
    assert "parentSpanId" not in captured.one("span", name="GET /")


def test_a_span_of_this_process_is_a_better_parent_than_the_headers(
    site: Any, captured: Captured
) -> None:
    site.has(path("", ok))
    with obswriter.span("outer") as outer:
        site.get("/", headers={"traceparent": f"00-{TRACE_ID}-{CALLER}-01"})
    assert captured.one("span", name="GET /")["parentSpanId"] == outer.id


# -- what it leaves alone -------------------------------------------------------------------------


def test_excluded_paths_are_not_recorded(site: Any, captured: Captured, settings: Any) -> None:
    settings.OBSWRITER = {"EXCLUDE": ["/healthz", "/static/*"]}
    site.has(path("healthz", ok), path("healthz/deep", ok), path("static/a/b.css", ok))
    for url in ("/healthz", "/static/a/b.css", "/healthz/deep"):
        assert site.get(url).status == 200
    assert captured.one("span", spanKind="server")["name"] == "GET /healthz/deep"


def test_while_the_writer_is_disabled_requests_pass(site: Any, monkeypatch: Any) -> None:
    from obswriter.testing import capture

    def unwanted(*args: Any) -> Any:
        raise AssertionError("made an exchange")

    site.has(path("", ok))
    with capture(disabled=True) as captured:
        monkeypatch.setattr("obswriter_django.middleware.Exchange", unwanted)
        assert site.get("/").status == 200
        assert captured.events() == []


def test_neither_the_user_nor_the_session_nor_the_body_is_touched(
    wsgi_site: Any, captured: Captured, rf: Any
) -> None:
    """scoutapp/scout_apm_python#544: scout breaks caching for django: who looks at the user makes
    every response vary by cookie.
    """
    wsgi_site.has(path("", ok))

    class Touchy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"somebody looked at {name}")

    def get_response(request: Any) -> HttpResponse:
        request.user = request.session = Touchy()
        return HttpResponse()

    request = rf.post("/", data=b"payload", content_type="text/plain")
    ObservabilityMiddleware(get_response)(request)
    assert request.read() == b"payload"
    assert captured.one("span")["name"] == "POST"


@pytest.mark.parametrize("place", ["request_attributes", "route_of", "view_names", "follow"])
def test_a_fault_of_ours_never_reaches_the_request(
    place: str, site: Any, captured: Captured, monkeypatch: Any, caplog: Any
) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("a bug in obswriter")

    from django.http import StreamingHttpResponse

    async def chunks() -> Any:
        yield b"fine"

    def view(request: Any) -> Any:
        return StreamingHttpResponse(chunks() if site.asynchronous else [b"fine"])

    monkeypatch.setattr(f"obswriter_django.exchange.{place}", broken)
    site.has(path("", view))
    for _ in range(2):
        answer = site.get("/")
        assert (answer.status, answer.body) == (200, b"fine")
    assert "could not describe a request" in caplog.text
    assert context.current() is None


def test_without_a_views_span_its_exception_is_the_server_spans(
    site: Any, captured: Captured, monkeypatch: Any
) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("a bug in obswriter")

    monkeypatch.setattr("obswriter_django.exchange.view_names", broken)
    site.has(path("", fails))
    assert site.get("/").status == 500
    (event,) = captured.one("span")["events"]
    assert event["attributes"]["exception.type"] == "LookupError"


def test_the_request_is_as_it_was_afterwards(rf: Any, captured: Captured) -> None:
    request = rf.get("/")
    before = set(request.__dict__)
    ObservabilityMiddleware(lambda request: HttpResponse())(request)
    assert set(request.__dict__) == before | {"_obswriter_span"}  # for what Django logs of it


def test_concurrent_requests_do_not_mix(asgi_site: Any, captured: Captured) -> None:
    from asgiref.sync import async_to_sync

    both = asyncio.Barrier(2)

    async def view(request: Any, name: str) -> HttpResponse:
        await both.wait()
        obswriter.log("info", name)
        await both.wait()
        return HttpResponse()

    async def ask() -> None:
        await asyncio.gather(
            asgi_site._request_async("GET", "/a/"), asgi_site._request_async("GET", "/b/")
        )

    asgi_site.has(path("<name>/", view))
    async_to_sync(ask)()
    for name in "ab":
        server = next(
            span
            for span in captured.events("span", name="GET /<name>/")
            if span["attributes"]["url.path"] == f"/{name}/"
        )
        assert captured.one("log", message=name)["traceId"] == server["traceId"]
