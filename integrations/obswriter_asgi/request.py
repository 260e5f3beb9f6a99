"""One observed request: its server span, its endpoint's span, and the response on its way."""

from time import perf_counter
from typing import Any

import obswriter
from obswriter import LiveSpan
from obswriter.lenient import type_name

from .attributes import name_endpoint
from .observed import Observed, leave, mark_failed
from .types import Message


class ObservedRequest(Observed):
    """What is known of a request while it is answered.

    The spans' clocks stop at the last byte of the response; they are recorded when the
    application returns, for an exception may still come out of it.

    With *stream_spans*, what is done between the first part of a response and its last is a span
    of its own.
    """

    __slots__ = (
        "_complete", "_endpoint", "_parts", "_responding_since", "_status", "_stream",
        "_stream_spans", "_trailers",
    )  # fmt: skip

    def __init__(self, stream_spans: bool, *arguments: Any) -> None:
        self._stream_spans = stream_spans
        self._stream: LiveSpan | None = None
        self._parts = 0
        self._endpoint: LiveSpan | None = None
        self._status = 0  # until the response begins
        self._trailers = self._complete = False
        self._responding_since = perf_counter()
        super().__init__(*arguments)

    def _look_at_received(self, message: Message) -> None:
        if message["type"] == "http.disconnect" and not self._complete:
            self._disconnected = True

    def _look_at_sent(self, message: Message) -> Message:
        kind = message["type"]
        if kind == "http.response.start":
            return self._look_at_start(message)
        self._is_last = self._look_at_part(kind, message)
        return message

    def _look_at_start(self, message: Message) -> Message:
        self._status = status = int(message["status"])
        self._trailers = bool(message.get("trailers", False))
        self._say("http.response.status_code", status)
        if status >= 500 and not self._disconnected:
            self._server.set_status("error")
            self._say("error.type", str(status))
        return self._answer(message)

    def _look_at_part(self, kind: str, message: Message) -> bool:
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        if kind == "http.response.body" or kind == "http.response.zerocopysend":
            self._parts += 1
            if message.get("more_body", False):
                self._note_first_byte()
                return False
        elif kind != "http.response.pathsend":
            return False
        return not self._trailers

    def _note_first_byte(self) -> None:
        """Of a stream, how long its client waited: the span's own duration is that of it all."""
        if self._responding_since:
            seconds = perf_counter() - self._responding_since
            self._server.set_attribute("obswriter.time_to_first_byte", seconds)
            self._responding_since = 0.0
            if self._stream_spans:
                self._stream = obswriter.span("stream").__enter__()

    def _leave_stream(self, error: BaseException | None) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.set_attribute("obswriter.stream.parts", self._parts)
            leave(stream, error)

    def _stop_clocks(self) -> None:
        self._complete = True
        self._leave_stream(None)
        if self._endpoint is not None:
            self._endpoint.stop_clock()
        super()._stop_clocks()

    def _enter(self, endpoint: Any) -> None:
        name, function = name_endpoint(endpoint)
        if self._endpoint is None:
            attributes = {"code.function.name": function}
            self._endpoint = obswriter.span(name, attributes=attributes).__enter__()
        else:  # a mounted application that hid its routes has found one of them
            self._endpoint.set_name(name)
            self._endpoint.set_attribute("code.function.name", function)

    def _conclude(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self._set_error(error)
            error = None  # the event is the server span's
        self._leave_stream(error)
        if self._endpoint is not None:
            leave(self._endpoint, error)

    def _set_error(self, error: Exception) -> None:
        kind = type_name(error)
        self._say("error.type", kind)
        if not self._status:  # whoever is outside answers for the application
            self._say("http.response.status_code", 500)
        mark_failed(self._stream, kind)
        # What fails after a good response is not the endpoint, but a task it left behind.
        if self._status >= 500 or not self._complete:
            mark_failed(self._endpoint, kind)
