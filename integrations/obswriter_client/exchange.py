"""One HTTP request that goes out, and its client span. Nothing here raises."""

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import obswriter
from obswriter.interruption import pass_on_interruption
from obswriter.lenient import exception_attributes, type_name
from obswriter.process import current_writer
from obswriter.storage import is_storing
from obswriter_http import method_attributes, name_method
from obswriter_http.options import call_hook

from .carrying import Carried
from .options import ClientOptions
from .target import Target
from .wire import Items, Wire

_under_way: ContextVar[Callable[[], Any]] = ContextVar(
    "obswriter_client_request", default=lambda: None
)
"""The request that is observed here, weakly: what it passes through on its way may be, too."""


class Exchange:
    """A request from its sending to the response's headers."""

    __slots__ = ("_carried", "_options", "_span", "_target", "_token", "_wire")

    def __init__(self, wire: Wire, options: ClientOptions, request: Any, target: Target) -> None:
        attributes = method_attributes(wire.method(request)) | target.describe()
        if wanted := options.request_headers:
            attributes.update(wanted.capture("request", _as_text(wire.sent(request))))
        self._wire = wire
        self._options = options
        self._target = target
        self._carried: Carried | None = None
        self._token = _under_way.set(weakref.ref(request))
        name = name_method(wire.method(request))
        self._span = obswriter.span(name, kind="client", attributes=attributes).__enter__()

    def send_along(self, request: Any) -> None:
        """Let the user's hook see the request, and name the span in its headers."""
        try:
            call_hook(self._options.on_request, self._span, request)
            self._carried = Carried(self._wire, request)
        except Exception as error:
            note_failure(error)

    def answered(self, response: Any) -> None:
        """End with a response; its body may be still to come."""
        self._span.stop_clock()
        try:
            self._describe(response)
            call_hook(self._options.on_response, self._span, response)
        except Exception as error:
            note_failure(error)
        finally:
            self.end(None)

    def _describe(self, response: Any) -> None:
        span, wire, wanted = self._span, self._wire, self._options.response_headers
        status = wire.status(response)
        if isinstance(status, int):
            span.set_attribute("http.response.status_code", int(status))
            if status >= 400:
                span.set_status("error")
                span.set_attribute("error.type", str(int(status)))
        if version := wire.version(response):
            span.set_attribute("network.protocol.version", version)
        if wanted:
            span.set_attributes(wanted.capture("response", _as_text(wire.received(response))))

    def end(self, error: BaseException | None) -> None:
        """Record the span; *error* is what came instead of a response."""
        try:
            if self._carried is not None:
                self._carried.take_back()
        except Exception as failure:
            note_failure(failure)
        finally:
            with suppress(ValueError):  # a coroutine may be closed in another context
                _under_way.reset(self._token)
            if isinstance(error, Exception):
                self._note(error)
                error = None
            self._span.__exit__(error and type(error), error, error and error.__traceback__)

    def _note(self, error: Exception) -> None:
        """Record an exception as a span does, without the secrets of the URL: some quote it."""
        span, clean = self._span, self._target.clean
        span.set_status("error")
        with suppress(Exception):  # an exception's class may be as hostile as its values
            told = {name: clean(text) for name, text in exception_attributes(error).items()}
            span.add_event("exception", told)
            span.set_attribute("error.type", type_name(error))


def begin(wire: Wire, options: ClientOptions, request: Any) -> Exchange | None:
    """Begin the span of a request; ``None`` for one that is not to be observed.

    What storage libraries ask for while they store is none of the application's.
    """
    try:
        if is_storing() or _under_way.get()() is request or current_writer().disabled:
            return None
        target = Target(wire.url(request))
        if options.exclude.match(target):
            return None
        exchange = Exchange(wire, options, request, target)
    except Exception as error:
        note_failure(error)
        return None
    try:
        exchange.send_along(request)
    except BaseException as error:
        exchange.end(error)
        raise
    return exchange


def _as_text(headers: Items) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield _text(name), _text(value)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def note_failure(error: Exception) -> None:
    """Tell whoever wants to know of an error in our own code; the request must not notice."""
    pass_on_interruption(error)  # the application's signal handler struck while we were at work
    with suppress(Exception):
        logging.getLogger("obswriter").debug("a request is not observed in full", exc_info=error)
