"""``ObservabilityMiddleware``: traces requests, and flushes when the server stops."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from re import Pattern

import obswriter
from obswriter import process
from obswriter_http import Hook, HttpOptions, RequestMetrics
from obswriter_http.options import check_switch

from .background import observe_background_tasks
from .connection import ObservedConnection
from .observed import note_failure
from .request import ObservedRequest
from .scope import WatchedScope
from .types import ASGIApp, Message, Receive, Scope, Send

_LIFESPAN_ENDS = (
    "lifespan.shutdown.complete",
    "lifespan.shutdown.failed",
    "lifespan.startup.failed",
)


class ObservabilityMiddleware:
    """Writes a trace, a server span and a span of the endpoint for each HTTP request.

    A WebSocket's connection is a trace with one span; a background task of Starlette or FastAPI
    is a span of its own.

    *flush_timeout*: seconds that the server's stop may wait for events to be stored.
    *exclude*: paths not to observe, as ``url.path`` has them: exact, beginnings with a ``*``, or
    compiled patterns.
    *request_headers*, *response_headers*: names of headers to record, or beginnings with a ``*``;
    what is named like a secret is taken out.
    *trusted_proxies*: addresses and networks whose ``Forwarded`` or ``X-Forwarded-*`` headers
    name the client, the scheme and the host.
    *on_request*, *on_response*: called with the server span and the scope, and with the message
    that begins the response; what they raise is logged.
    *metrics*: record ``http.server.request.duration`` and ``http.server.active_requests``.
    *traceresponse*: answer with the trace's ids in a ``traceresponse`` header.
    *user_id*: record ``user.id`` where the scope has an authenticated user, as Starlette puts it.
    *streaming*: a span for what is done between the first part of a response and its last.
    *websocket_messages*: a span for what is done about each message of a WebSocket.

    Raises ``TypeError`` or ``ValueError`` for options that cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        flush_timeout: float = 5.0,
        exclude: Sequence[str | Pattern[str]] = (),
        request_headers: Iterable[str] = (),
        response_headers: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        on_request: Hook | None = None,
        on_response: Hook | None = None,
        metrics: bool = False,
        traceresponse: bool = False,
        user_id: bool = False,
        streaming: bool = False,
        websocket_messages: bool = False,
    ) -> None:
        self.app = app
        self._flush_timeout = _check_timeout("flush_timeout", flush_timeout)
        self._options = HttpOptions.check(
            exclude=exclude,
            request_headers=request_headers,
            response_headers=response_headers,
            trusted_proxies=trusted_proxies,
            on_request=on_request,
            on_response=on_response,
            metrics=metrics,
            traceresponse=traceresponse,
            user_id=user_id,
        )
        self._metrics = RequestMetrics() if metrics else None
        self._streaming = check_switch("streaming", streaming)
        self._websocket_messages = check_switch("websocket_messages", websocket_messages)
        observe_background_tasks()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        observed = self._begin(scope, receive, send)
        if observed is None:
            await self.app(scope, receive, self._choose_send(scope, send))
            return
        try:
            await self.app(observed.scope, observed.receive, observed.send)
        except BaseException as error:
            observed.end(error)
            raise
        observed.end(None)

    def _begin(
        self, scope: Scope, receive: Receive, send: Send
    ) -> ObservedRequest | ObservedConnection | None:
        try:
            # A scope that is watched already has passed this middleware before: an application
            # mounted in another, both with their own.
            if scope["type"] not in ("http", "websocket") or isinstance(scope, WatchedScope):
                return None
            if process.current_writer().disabled or self._options.exclude.match(scope["path"]):
                return None
            parts = scope, receive, send, self._options, self._metrics
            if scope["type"] == "http":
                return ObservedRequest(self._streaming, *parts)
            return ObservedConnection(self._websocket_messages, *parts)
        except Exception as error:
            note_failure(error)
            with suppress(Exception):
                writer = process.current_writer()
                writer.drop("trace", "invalid")
                writer.drop("span", "invalid")
            return None

    def _choose_send(self, scope: Scope, send: Send) -> Send:
        if scope["type"] != "lifespan":
            return send

        async def send_after_flush(message: Message) -> None:
            if message.get("type") in _LIFESPAN_ENDS:
                await self._flush()
            await send(message)

        return send_after_flush

    async def _flush(self) -> None:
        """Store what there is before the server hears that all is done, and may end at once."""
        import asyncio

        try:
            await asyncio.to_thread(obswriter.flush, self._flush_timeout)
        except Exception:  # no asyncio here, or no threads any more
            with suppress(Exception):
                obswriter.flush(self._flush_timeout)


def _check_timeout(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, such as 5.0; got {value!r}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number of seconds over 0; got {value!r}")
    return value
