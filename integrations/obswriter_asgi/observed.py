"""What a request and a WebSocket's connection have in common: a server span from first to last."""

import logging
from contextlib import suppress
from typing import Any

import obswriter
from obswriter import LiveSpan, context
from obswriter.propagation import format_traceparent
from obswriter_http import HttpOptions, RequestMetrics, name_method
from obswriter_http.options import call_hook

from .attributes import as_text, describe_request, find_baggage, find_caller, user_id
from .scope import WatchedScope
from .trail import Trail
from .types import Message, Receive, Scope, Send


class Observed:
    """An exchange that is going on. Nothing here raises but the server's receive and send."""

    __slots__ = (
        "_disconnected", "_is_last", "_lost", "_measured", "_method", "_options", "_receive",
        "_send", "_server", "_told", "_trail", "scope",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        options: HttpOptions,
        metrics: RequestMetrics | None,
    ) -> None:
        raw = scope.get("headers", ())
        if not isinstance(raw, list):
            raw = scope["headers"] = list(raw)  # ASGI allows an iterator, which is read only once
        headers = dict(raw)
        attributes = describe_request(scope, headers, options.trusted_proxies)
        if options.request_headers:
            attributes.update(options.request_headers.capture("request", as_text(raw)))
        self._method = name_method(scope.get("method", "GET"))
        self._receive = receive
        self._send = send
        self._options = options
        self._trail: Trail | None = None
        self._disconnected = self._is_last = False
        self._lost: BaseException | None = None  # what the server's send raised
        self._told = attributes
        self.scope = WatchedScope(scope, self)
        parent = find_caller(raw, headers)
        self._server = obswriter.span(
            self._method, kind="server", attributes=attributes, parent=parent
        )
        self._server.baggage = find_baggage(raw, headers)
        self._server.__enter__()  # from here on nothing may fail, for nobody would leave it
        self._measured = metrics.begin(attributes) if metrics is not None else None
        if options.on_request is not None:
            call_hook(options.on_request, self._server, self.scope)

    async def receive(self) -> Message:
        """Receive a message, and see what it says."""
        message = await self._receive()
        with suppress(Exception):
            self._look_at_received(message)
        return message

    def _look_at_received(self, message: Message) -> None:
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        """Send a message, and see what it says."""
        try:
            message = self._look_at_sent(message)
        except Exception as error:
            note_failure(error)
        try:
            await self._send(message)
        except BaseException as error:
            self._lost = error
            raise
        if self._is_last:
            self._stop_clocks()

    def _look_at_sent(self, message: Message) -> Message:
        raise NotImplementedError

    def _stop_clocks(self) -> None:
        self._server.stop_clock()

    def _say(self, name: str, value: Any) -> None:
        """Set an attribute of the server span, and of what is measured."""
        self._server.set_attribute(name, value)
        self._told[name] = value

    def _answer(self, message: Message) -> Message:
        """Look at a response's beginning, and add to its headers what the user asks for."""
        options, headers = self._options, message.get("headers", ())
        if options.traceresponse and (ids := format_traceparent(self._server)):
            headers = [*headers, (b"traceresponse", ids.encode())]
            message = {**message, "headers": headers}
        if options.response_headers:
            captured = options.response_headers.capture("response", as_text(list(headers)))
            self._server.set_attributes(captured)
        if options.on_response is not None:
            call_hook(options.on_response, self._server, self.scope, message)
        return message

    # -- the route ---------------------------------------------------------------------------

    def routed(self, scope: Scope, found: dict[str, Any]) -> None:
        """Follow routing: it is about to call an endpoint, in this very context."""
        try:
            trail = self._trail
            if trail is None:
                trail = self._trail = Trail(scope)
            if trail.follow(scope, found):
                self._enter(found["endpoint"])
        except Exception as error:
            note_failure(error)

    def _enter(self, endpoint: Any) -> None:
        raise NotImplementedError

    def _set_route(self) -> None:
        template = self._trail.find_template(self.scope) if self._trail is not None else None
        if template is not None:
            self._say("http.route", template)
            self._server.set_name(f"{self._method} {template}")

    # -- the end -----------------------------------------------------------------------------

    def end(self, error: BaseException | None) -> None:
        """Record what there is; *error* is what came out of the application."""
        self.scope.release()
        if self._disconnected or self._lost is not None:
            self._server.set_attribute("obswriter.client_disconnected", value=True)
            if error is not None and self._is_of_disconnect(error):
                error = None
        try:
            self._set_route()
            self._conclude(error)
            if self._options.user_id and (user := user_id(self.scope.get("user"))):
                self._server.set_attribute("user.id", user)
        except Exception as failure:
            note_failure(failure)
        try:
            self._end_server(error)
            if self._measured is not None:
                self._measured.end(self._told)
        except Exception as failure:
            note_failure(failure)

    def _is_of_disconnect(self, error: BaseException) -> bool:
        """Whether an exception only says that the client is gone, which is no error of ours."""
        lost = self._lost if isinstance(self._lost, OSError) else None
        named = "Disconnect" in type(error).__name__  # Starlette's, for HTTP and for WebSockets
        return named or (lost is not None and lost in (error, error.__cause__, error.__context__))

    def _conclude(self, error: BaseException | None) -> None:
        raise NotImplementedError

    def _end_server(self, error: BaseException | None) -> None:
        # Whatever span of this trace was left open inside is not the current one any more.
        current = context.current()
        if current is not None and current.trace_id == self._server.trace_id:
            self._server.suspend()
        leave(self._server, error)


def leave(span: LiveSpan, error: BaseException | None) -> None:
    """End a span; *error* is what left it."""
    span.__exit__(error and type(error), error, error and error.__traceback__)


def mark_failed(span: LiveSpan | None, error_type: str) -> None:
    """Say that a span within the server's failed, whose event the exception is."""
    if span is not None:
        span.set_status("error")
        span.set_attribute("error.type", error_type)


def note_failure(error: Exception) -> None:
    """Tell whoever wants to know of an error in our own code; the request must not notice."""
    with suppress(Exception):
        logging.getLogger("obswriter").debug("a request is not observed in full", exc_info=error)
