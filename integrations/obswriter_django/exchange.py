"""One request's way through the site: its server span, the view's within it, and its end."""

import functools
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

import obswriter
from obswriter import context
from obswriter.lenient import type_name
from obswriter.propagation import (
    SpanContext,
    format_traceparent,
    parse_baggage,
    parse_traceparent,
)
from obswriter_http import HttpOptions, RequestMetrics, name_method
from obswriter_http.options import call_hook

from .attributes import request_attributes, route_of, user_id, view_names
from .conf import conf
from .database import count_queries
from .streaming import follow, note_disconnect

if TYPE_CHECKING:
    from obswriter_http.requests import MeasuredRequest

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("obswriter")
_metrics = RequestMetrics()


def quietly(function: Callable[P, R]) -> Callable[P, R | None]:
    """Keep a fault of ours from the request: it is logged, and the request goes on."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception:
            logger.warning("obswriter could not describe a request", exc_info=True)
            return None

    return guarded


class Exchange:
    """A request and its response. Within its ``with`` block, its span is the current one.

    Nothing here raises. A stack trace is recorded once: in the view's span if it is the view's.
    """

    __slots__ = (
        "_before", "_error", "_measured", "_options", "_request", "_span", "_streams", "_told",
        "_view",
    )  # fmt: skip

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._options: HttpOptions = conf.http
        self._measured: MeasuredRequest | None = None
        self._told: dict[str, Any] = {}
        self._span: obswriter.LiveSpan | None = None
        self._view: obswriter.LiveSpan | None = None
        self._error: BaseException | None = None
        self._streams = False

    def __enter__(self) -> Self:
        self._begin()
        return self

    @quietly
    def _begin(self) -> None:
        self._before = context.current()
        request, options = self._request, self._options
        self._told = attributes = request_attributes(request, options.trusted_proxies)
        if options.request_headers:
            attributes.update(options.request_headers.capture("request", request.headers.items()))
        span = obswriter.span(
            name_method(request.method),
            kind="server",
            attributes=attributes,
            # What runs in this process knows better than the headers where the request comes from.
            parent=_caller(request) if self._before is None else None,
        )
        if baggage := request.META.get("HTTP_BAGGAGE"):
            span.baggage = parse_baggage(baggage)
        self._span = span.__enter__()
        request.__dict__["_obswriter"] = self
        request.__dict__["_obswriter_span"] = self._span  # what Django logs of a response, later
        count_queries()
        if options.metrics:
            self._measured = _metrics.begin(attributes)
        if options.on_request is not None:
            call_hook(options.on_request, span, request)

    @quietly
    def begin_view(self, view: Callable[..., Any]) -> None:
        """The route is known, and the view's turn comes."""
        request, span = self._request, self._span
        if span is None:
            return
        match = request.resolver_match
        if match is not None:
            route = route_of(match, request.META.get("SCRIPT_NAME", ""))
            span.set_name(f"{name_method(request.method)} {route}")
            self._say(span, "http.route", route)
        name, full_name = view_names(view, request.method or "")
        self._view = obswriter.span(name, attributes={"code.function.name": full_name}).__enter__()

    @quietly
    def end_view(self, error: BaseException | None = None) -> None:
        """The view is done, or was left by an exception that is no answer."""
        view, self._view = self._view, None
        if view is not None:
            self._error = self._error if error is None else error
            view.__exit__(None if error is None else type(error), error, None)

    @quietly
    def fail(self, error: BaseException | None) -> None:
        """Note the exception that becomes a response of status 500."""
        if self._span is not None and error is not None and error is not self._error:
            self._error = error
            self._span.record_exception(error)

    @quietly
    def respond(self, response: HttpResponseBase) -> None:
        """Take the response's status; what streams goes on until its last byte."""
        self.end_view()
        span, status = self._span, getattr(response, "status_code", None)
        if span is None or status is None:
            return
        self._say(span, "http.response.status_code", status)
        self._answer(span, response)
        if status >= 500:
            error = self._error
            self._mark(span, str(status) if error is None else type_name(error))
        if isinstance(response, StreamingHttpResponse):
            follow(response, span, self._measure)
            self._streams = True

    def _answer(self, span: obswriter.LiveSpan, response: HttpResponseBase) -> None:
        """Add to the response, and take from it, what the user asks for."""
        options = self._options
        if options.traceresponse and (ids := format_traceparent(span)):
            response["traceresponse"] = ids
        if options.user_id and (user := user_id(self._request)):
            span.set_attribute("user.id", user)
        if options.response_headers:
            span.set_attributes(options.response_headers.capture("response", response.items()))
        if options.on_response is not None:
            call_hook(options.on_response, span, self._request, response)

    def _say(self, span: obswriter.LiveSpan, name: str, value: Any) -> None:
        span.set_attribute(name, value)
        self._told[name] = value

    def _mark(self, span: obswriter.LiveSpan, error_type: str) -> None:
        span.set_status("error")
        self._say(span, "error.type", error_type)

    def _measure(self) -> None:
        if self._measured is not None:
            self._measured.end(self._told)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._leave(error)
        return False

    @quietly
    def _leave(self, error: BaseException | None) -> None:
        span = self._span
        if span is None:
            return
        try:
            self._request.__dict__.pop("_obswriter", None)
            self.end_view(error)
            if not self._streams:
                self._end(span, error)
                self._measure()
        finally:
            # Whatever the site left behind as the current span is not the next request's.
            context.attach(self._before)

    def _end(self, span: obswriter.LiveSpan, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self.fail(error)
            self._mark(span, type_name(error))
            error = None
        note_disconnect(span, error)
        span.__exit__(None if error is None else type(error), error, None)


def _caller(request: HttpRequest) -> SpanContext | None:
    meta = request.META
    lists = meta.get("HTTP_TRACESTATE", ""), meta.get("HTTP_BAGGAGE", "")
    return parse_traceparent(meta.get("HTTP_TRACEPARENT"), *lists)


def exchange_of(request: HttpRequest | None) -> Exchange | None:
    """Return the exchange that is going on for *request*, if it is observed."""
    found = getattr(request, "_obswriter", None)
    return found if isinstance(found, Exchange) else None
