"""The middleware: a trace and a server span per request, and a span for its view."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase

from obswriter.process import current_writer

from .conf import conf
from .exchange import Exchange, exchange_of, quietly

Response: TypeAlias = HttpResponseBase
View: TypeAlias = Callable[..., Any]

ANSWERS = (Http404, PermissionDenied, BadRequest, SuspiciousOperation, MultiPartParserError)
"""Exceptions by which a view answers: Django gives them a status of 4xx."""


class ObservabilityMiddleware:
    """Records each request as a server span with the view's span in it, and a trace.

    Put it first in ``MIDDLEWARE``, so that it measures the others. The view's span begins when
    the route is known and includes what other middleware do from there on.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self, get_response: Callable[[HttpRequest], Response | Awaitable[Response]]
    ) -> None:
        if conf.OBSWRITER and not apps.is_installed("obswriter_django"):
            from .activation import activate

            activate()
        self.get_response = get_response
        self.async_mode = iscoroutinefunction(get_response)
        # In its own mode each: Django would send a synchronous hook through another thread.
        self.process_view: View = _begin_view
        if self.async_mode:
            markcoroutinefunction(self)
            self.process_view = _begin_view_async

    def __call__(self, request: HttpRequest) -> Response | Awaitable[Response]:
        if self.async_mode:
            return self.__acall__(request)
        if not _is_observed(request):
            return self.get_response(request)
        with Exchange(request) as exchange:
            response = cast("Response", self.get_response(request))
            exchange.respond(response)
        return response

    async def __acall__(self, request: HttpRequest) -> Response:
        get_response = cast("Callable[[HttpRequest], Awaitable[Response]]", self.get_response)
        if not _is_observed(request):
            return await get_response(request)
        with Exchange(request) as exchange:
            response = await get_response(request)
            exchange.respond(response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """End the view's span; the response is Django's affair."""
        exchange = exchange_of(request)
        if exchange is not None:
            exchange.end_view(None if isinstance(exception, ANSWERS) else exception)


@quietly
def _is_observed(request: HttpRequest) -> bool:
    """Twice in ``MIDDLEWARE``, it still observes once."""
    return (
        not current_writer().disabled
        and exchange_of(request) is None
        and not conf.http.exclude.match(request.path_info)
    )


def _begin_view(request: HttpRequest, view: View, args: object, kwargs: object) -> None:
    exchange = exchange_of(request)
    if exchange is not None:
        exchange.begin_view(view)


async def _begin_view_async(request: HttpRequest, view: View, args: object, kwargs: object) -> None:
    _begin_view(request, view, args, kwargs)


def note_unhandled_exception(*, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Receive ``got_request_exception``: also for what fails outside of views."""
    exchange = exchange_of(request)
    if exchange is not None:
        exchange.fail(sys.exc_info()[1])
