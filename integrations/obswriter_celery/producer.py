"""A span for each message that is published: ``publish <task>``, whose id goes with it."""

import time
import weakref
from typing import Any

import obswriter
from obswriter import LiveSpan, context
from obswriter.propagation import extract, inject

from .attributes import PUBLISHED, SCHEDULE, describe_message, never_raising
from .schedules import current_schedule


class _HeaderName(str):
    """The word ``traceparent``, as the key in one message's headers.

    It lives as long as these headers do. Celery has no signal for a message that could not be
    published: its span ends when its headers go away.
    """

    span: LiveSpan
    ending: "weakref.finalize[Any, Any]"


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
        parent=extract(headers) if context.current() is None else None,
    )
    span.__enter__()
    carrier: dict[str, str] = {}
    if span.trace_id:
        inject(carrier)
        # Not the current span while Celery publishes: it might never hear of the end.
        span.suspend()
    if not carrier:
        span.__exit__(None, None, None)
        return
    name = _HeaderName("traceparent")
    name.span = span
    name.ending = weakref.finalize(name, _give_up, span)
    headers.pop(name, None)  # a dict keeps the key it has
    headers[name] = carrier.pop("traceparent")
    headers.update(carrier)
    headers[PUBLISHED] = time.time()


@never_raising
def end_message(headers: dict[str, Any], **_: object) -> None:
    """End the span. ``after_task_publish``."""
    for name in headers:
        if type(name) is _HeaderName and name.ending.detach():
            name.span.__exit__(None, None, None)


def _give_up(span: LiveSpan) -> None:
    span.set_status("error", "the message was not published")
    span.set_attribute("error.type", "_OTHER")
    span.__exit__(None, None, None)
