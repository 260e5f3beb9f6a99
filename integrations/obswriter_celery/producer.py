"""A span for each message that is published: ``publish <task>``, whose id goes with it."""

import time
from typing import Any, Final

import obswriter
from obswriter import LiveSpan, context
from obswriter.propagation import extract, inject

from .attributes import PUBLISHED, SCHEDULE, describe_message, never_raising
from .schedules import current_schedule

TRACEPARENT: Final = "traceparent"


class _HeaderName(str):
    """The word ``obswriter_published``, as the key in one message's headers.

    It lives as long as these headers do. Celery has no signal for a message that could not be
    published: its span ends when its headers go away.
    """

    span: LiveSpan | None = None

    def end(self) -> None:
        """End the span, if it goes on, and let go of it: a broker may keep the headers."""
        span, self.span = self.span, None
        if span is not None:
            span.__exit__(None, None, None)

    def __del__(self) -> None:
        if self.span is not None:
            self.span.set_status("error", "the message was not published")
            self.span.set_attribute("error.type", "_OTHER")
            self.end()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # a copy is a word like any other


@never_raising
def begin_message(
    sender: str, headers: dict[str, Any], body: Any, exchange: Any, routing_key: str, **_: object
) -> None:
    """Begin a span, and send its id along. ``before_task_publish``."""
    # Protocol 1 has the task's fields in its body.
    fields = body if isinstance(body, dict) else headers
    attributes = describe_message(("publish", "send"), sender, fields, exchange, routing_key)
    if schedule := current_schedule():
        attributes["celery.schedule.name"] = headers[SCHEDULE] = schedule
    span = obswriter.span(
        f"publish {sender}",
        kind="producer",
        attributes=attributes,
        # A task that is retried for a dead worker is published outside any span.
        parent=extract(headers) if TRACEPARENT in headers and context.current() is None else None,
    )
    span.__enter__()
    if not span.trace_id:
        return
    headers.pop(TRACEPARENT, None)
    inject(headers)
    # Not the current span while Celery publishes: it might never hear of the end.
    span.suspend()
    name = _HeaderName(PUBLISHED)
    name.span = span
    headers.pop(name, None)  # a dict keeps the key it has
    headers[name] = time.time()


@never_raising
def end_message(headers: dict[str, Any], **_: object) -> None:
    """End the span. ``after_task_publish``."""
    for name in reversed(headers):
        if type(name) is _HeaderName:
            name.end()
            return
