"""What users of OpenTelemetry and Sentry reported of Django, and what happens here instead."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware

import obswriter
from obswriter_django import database

if TYPE_CHECKING:
    from obswriter.testing import Captured

OURS = "obswriter_django.ObservabilityMiddleware"


def plain(request: Any, **kwargs: Any) -> Any:
    return HttpResponse("tea")


def health(get_response: Any) -> Any:
    """Answer before anybody asks which host is meant."""
    return lambda request: HttpResponse("well") if request.path == "/health" else plain(request)


def test_a_health_check_needs_no_allowed_host(wsgi_site: Any, captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#1781: DisallowedHost exception for Django
    instrumentation.
    """
    wsgi_site.settings.ALLOWED_HOSTS = ["shop.example"]
    wsgi_site.settings.MIDDLEWARE = [OURS, f"{__name__}.health"]
    answer = wsgi_site.get("/health", headers={"host": "10.0.0.7:8000"})
    assert (answer.status, answer.body) == (200, b"well")
    assert captured.one("span")["attributes"]["server.address"] == "10.0.0.7"


def test_an_empty_route_is_a_slash(site: Any, captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#1098: [instrumentation-django] - empty span
    name.
    """
    site.has(path("", plain))
    site.get("/")
    server = captured.one("span", spanKind="server")
    assert (server["name"], server["attributes"]["http.route"]) == ("GET /", "/")


# -- asynchronous sites ------------------------------------------------------------------------


@sync_and_async_middleware
def passing(get_response: Any) -> Any:
    """A middleware as Django's documentation has it."""

    def middleware(request: Any) -> Any:
        return get_response(request)

    async def middleware_async(request: Any) -> Any:
        return await get_response(request)

    return middleware_async if iscoroutinefunction(get_response) else middleware


class AsyncOnly:
    sync_capable, async_capable = False, True

    def __init__(self, get_response: Any) -> None:
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        request.loop_thread = threading.get_ident()
        return await self.get_response(request)


def test_functions_as_middleware_work_in_either_mode(site: Any, captured: Captured) -> None:
    """getsentry/sentry-python#1014: sync_and_async_middleware throws exception."""
    site.settings.MIDDLEWARE = [f"{__name__}.passing", OURS, f"{__name__}.passing"]
    site.has(path("", plain))
    assert site.get("/").body == b"tea"
    assert captured.one("span", spanKind="server")["name"] == "GET /"


def test_an_asynchronous_view_stays_in_the_loops_own_thread(
    asgi_site: Any, captured: Captured
) -> None:
    """getsentry/sentry-python#3506: Sentry SDK does not properly adapt async Django middleware;
    #937: Django 3.1 async views working "synchronously" with sentry_sdk; #849: Django 3.1 async
    views do not work.
    """

    async def view(request: Any) -> Any:
        return HttpResponse(str(threading.get_ident() == request.loop_thread))

    asgi_site.settings.MIDDLEWARE = [OURS, f"{__name__}.AsyncOnly"]
    asgi_site.has(path("", view))
    assert asgi_site.get("/").body == b"True"


def test_a_view_may_read_the_stream_and_fail(site: Any, captured: Captured) -> None:
    """getsentry/sentry-python#3045: Django integration: You cannot access body after reading from
    request's data stream; #3613, of the same.
    """
    read = []

    def view(request: Any) -> Any:
        read.append(request.read())
        raise LookupError("out of tea")

    site.has(path("", view))
    answer = site.request("POST", "/", data=b"{}", content_type="application/json")
    assert (answer.status, read) == (500, [b"{}"])
    [event] = captured.one("span", spanKind="internal")["events"]
    assert event["attributes"]["exception.type"] == "LookupError"
    assert "RawPostData" not in event["attributes"]["exception.stacktrace"]


def test_a_partial_is_a_view(site: Any, captured: Captured) -> None:
    """getsentry/sentry-python#1648: Django Integration: AttributeError: 'functools.partial' object
    has no attribute '__module__'.
    """
    site.has(path("", functools.partial(plain, kind="green")))
    assert site.get("/").body == b"tea"
    assert captured.one("span", spanKind="internal")["name"] == "plain"


# -- the cache ---------------------------------------------------------------------------------


class Ambiguous:
    """A value like a table of numbers, which is neither true nor equal to anything."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")

    __eq__ = __bool__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def test_keys_may_be_named(cache: Any, captured: Captured) -> None:
    """getsentry/sentry-python#2085: DjangoCache `IndexError` raised when using keywords approach;
    #2082, of keys in a list.
    """
    with obswriter.span("request"):
        cache.set(key="tea:7", value="green")
        assert cache.get(key="tea:7") == "green"
        assert cache.get(key="tea:8", default="none") == "none"
        assert cache.get_many(keys=["tea:7", "tea:8"]) == {"tea:7": "green"}
        assert cache.get_or_set(key="tea:9", default="black") == "black"
    keys = {str(s["attributes"]["obswriter.cache.key"]) for s in captured.events("span")[:-1]}
    assert keys == {"tea:#", "['tea:#', 'tea:#']"}


def test_values_are_not_compared(cache: Any, captured: Captured) -> None:
    """getsentry/sentry-python#2094: Django patch breaks cache."""
    with obswriter.span("request"):
        cache.set("table", Ambiguous())
        assert isinstance(cache.get("table"), Ambiguous)
        assert isinstance(cache.get("table", Ambiguous()), Ambiguous)
        assert isinstance(cache.get("missing", Ambiguous()), Ambiguous)
    gets = captured.events("span", name="cache get")
    assert [span["attributes"]["obswriter.cache.hit"] for span in gets] == [True, True, False]


@pytest.mark.parametrize("value", [None, 0, "", "null"])
def test_what_is_cached_may_be_the_default(cache: Any, captured: Captured, value: Any) -> None:
    """getsentry/sentry-python#5029: fix(django): Improve logic for classifying cache hits and
    misses, whose review found that a value like the default counted as a miss.
    """
    with obswriter.span("request"):
        cache.set("key", value)
        assert cache.get("key", value) == value
        assert cache.get("key", default=value) == value
        assert cache.get("missing", value) == value
    gets = captured.events("span", name="cache get")
    assert [span["attributes"]["obswriter.cache.hit"] for span in gets] == [True, True, False]


# -- the database ------------------------------------------------------------------------------


def test_composed_sql_is_recorded_as_text_without_its_literals(
    captured: Captured, settings: Any
) -> None:
    """getsentry/sentry-python#169: Django integration can't handle psycopg2's SQL string
    composition; #201, of its `.format`.
    """
    sql = pytest.importorskip("psycopg.sql")
    settings.OBSWRITER = {"DB": True}
    query = sql.SQL("SELECT {} FROM tea WHERE name = {}").format(
        sql.SQL("name"), sql.Literal("sencha")
    )

    class Cursor:
        cursor = None
        rowcount = 1

    class Connection:
        vendor, settings_dict = "postgresql", {"NAME": "shop"}

    details = {"connection": Connection(), "cursor": Cursor()}
    passed: list[Any] = []
    with obswriter.span("request"):
        database._execute(lambda sql, *_: passed.append(sql), query, None, False, details)
    assert passed == [query]
    span = captured.one("span", spanKind="client")
    assert span["name"] == "SELECT tea"
    assert span["attributes"]["db.query.text"] == "SELECT name FROM tea WHERE name = %s"
