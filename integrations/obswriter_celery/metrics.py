"""What is measured of tasks and workers, where the user asks for it. Nothing is kept here."""

from collections.abc import Mapping
from typing import Any, Final

from celery.worker import state

import obswriter

_LABELS: Final = (
    "messaging.system", "messaging.operation.name", "messaging.destination.name",
    "celery.task.name", "celery.state",
)  # fmt: skip


def record_run(seconds: float, attributes: Mapping[str, Any], error_type: str | None) -> None:
    """Record how long a run took, and how long its message waited.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/
    """
    labels = {name: attributes[name] for name in _LABELS if name in attributes}
    if error_type is not None:
        labels["error.type"] = error_type
    obswriter.metric("messaging.process.duration", seconds, unit="s", attributes=labels)
    if (waited := attributes.get("celery.queue_time")) is not None:
        obswriter.metric("celery.task.queue_time", waited, unit="s", attributes=labels)


def record_worker(name: str, just_received: int = 0) -> None:
    """Record what a worker's main process knows of its tasks, and of those *just_received*."""
    active = len(state.active_requests)
    prefetched = len(state.reserved_requests) - active + just_received
    labels = {"celery.worker": name}
    for what, count in (("active", active), ("prefetched", max(0, prefetched))):
        obswriter.metric(f"celery.worker.tasks.{what}", count, unit="{task}", attributes=labels)
