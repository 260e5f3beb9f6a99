"""One observed WebSocket: a server span from its handshake to its close."""

from typing import Any

import obswriter
from obswriter import LiveSpan
from obswriter.lenient import type_name

from .attributes import name_endpoint
from .observed import Observed, leave, mark_failed
from .types import Message

NORMAL, GOING_AWAY, INTERNAL_ERROR = 1000, 1001, 1011
"""Close codes of RFC 6455."""


class ObservedConnection(Observed):
    """What is known of a WebSocket's connection while it is open.

    With *message_spans*, what the application does from one message it receives to the next one
    it asks for is a span of its own.
    """

    __slots__ = ("_code", "_counts", "_message", "_message_spans", "_status")

    def __init__(self, message_spans: bool, *arguments: Any) -> None:
        self._message_spans = message_spans
        self._message: LiveSpan | None = None
        self._code: int | None = None
        self._status = 0
        self._counts = dict.fromkeys(("received", "sent"), (0, 0))
        super().__init__(*arguments)
        self._server.set_attribute("network.protocol.name", "websocket")

    async def receive(self) -> Message:
        """Receive a message: the one before has been dealt with."""
        self._leave_message(None)
        return await super().receive()

    def _look_at_received(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.disconnect":
            self._note_close(message.get("code", 1005), message.get("reason"))
            self._disconnected = self._code not in (NORMAL, GOING_AWAY)
        elif kind == "websocket.receive":
            size = self._count("received", message)
            if self._message_spans:
                attributes = {"obswriter.websocket.message.size": size}
                span = obswriter.span("websocket message", attributes=attributes)
                self._message = span.__enter__()

    def _look_at_sent(self, message: Message) -> Message:
        kind = message["type"]
        if kind == "websocket.send":
            self._count("sent", message)
        elif kind == "websocket.accept":
            self._set_status(101)
            return self._answer(message)
        elif kind == "websocket.http.response.start":
            self._set_status(int(message["status"]))
            return self._answer(message)
        elif kind == "websocket.close":
            if self._status:
                self._note_close(message.get("code", NORMAL), message.get("reason"))
            else:  # before it was accepted: servers answer that the client may not
                self._set_status(403)
        return message

    def _set_status(self, status: int) -> None:
        self._status = status
        self._say("http.response.status_code", status)
        if status >= 500:
            self._server.set_status("error")
            self._say("error.type", str(status))

    def _count(self, direction: str, message: Message) -> int:
        text = message.get("text")
        size = len(message.get("bytes") or b"") if text is None else len(text.encode())
        count, total = self._counts[direction]
        self._counts[direction] = count + 1, total + size
        return size

    def _note_close(self, code: int, reason: str | None) -> None:
        if self._code is None:  # the first to close says why
            self._code = code
            self._server.set_attribute("obswriter.websocket.close_code", code)
            if reason:
                self._server.set_attribute("obswriter.websocket.close_reason", reason)
            if code == INTERNAL_ERROR:
                self._server.set_status("error")
                self._say("error.type", str(code))

    def _enter(self, endpoint: Any) -> None:
        self._server.set_attribute("code.function.name", name_endpoint(endpoint)[1])

    def _leave_message(self, error: BaseException | None) -> None:
        message, self._message = self._message, None
        if message is not None:
            leave(message, error)

    def _conclude(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            if not self._status:
                self._set_status(500)
            mark_failed(self._message, type_name(error))
        for direction, (count, size) in self._counts.items():
            name = f"obswriter.websocket.messages_{direction}"
            self._server.set_attributes({name: count, f"{name}.size": size})
        self._leave_message(None)
