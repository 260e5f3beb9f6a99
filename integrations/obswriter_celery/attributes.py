"""What spans of messages and tasks say, in OpenTelemetry's messaging conventions.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, Protocol

P = ParamSpec("P")

PUBLISHED: Final = "obswriter_published"
"""The header that says when a message was published, in seconds since 1970."""

SCHEDULE: Final = "obswriter_schedule"
"""The header that names the schedule of Celery Beat that had a message published."""


class Fields(Protocol):
    """A task's request or a message's headers: both answer for fields they lack."""

    def get(self, key: str, default: Any = None, /) -> Any: ...


def describe_message(
    operation: tuple[str, str], task: str, fields: Fields, exchange: object, routing_key: object
) -> dict[str, Any]:
    """Return the attributes of a span; *operation* is its name and its type."""
    attributes: dict[str, Any] = {
        "messaging.system": "celery",
        "messaging.operation.name": operation[0],
        "messaging.operation.type": operation[1],
        "celery.task.name": task,
        "celery.retries": fields.get("retries") or 0,
    }
    # Celery's default exchange hands a message to the queue that its routing key names.
    destination = routing_key or getattr(exchange, "name", exchange)
    if destination:
        attributes["messaging.destination.name"] = str(destination)
    if fields.get("id"):
        attributes["messaging.message.id"] = fields.get("id")
    if fields.get("eta"):
        attributes["celery.eta"] = str(fields.get("eta"))
    return attributes


def never_raising(receiver: Callable[P, None]) -> Callable[P, None]:
    """Keep a signal's receiver from disturbing the task: what goes wrong is logged."""

    @wraps(receiver)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            receiver(*args, **kwargs)
        except Exception:
            logging.getLogger("obswriter").exception("obswriter_celery: %s failed", receiver)

    return guarded
