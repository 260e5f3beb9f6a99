"""Which of Celery Beat's schedules has a message published.

There is no signal for that: the scheduler's method that publishes is wrapped, on the one instance
that the beat service has.
"""

from contextvars import ContextVar
from functools import wraps
from typing import Any

from .attributes import never_raising

_due: ContextVar[str | None] = ContextVar("obswriter_celery_schedule", default=None)


@never_raising
def watch_scheduler(sender: Any, **_: object) -> None:
    """Note each schedule that is due. ``beat_init``."""
    scheduler = sender.scheduler
    publish = scheduler.apply_async

    @wraps(publish)
    def publish_noted(entry: Any, *args: Any, **kwargs: Any) -> Any:
        token = _due.set(str(entry.name))
        try:
            return publish(entry, *args, **kwargs)
        finally:
            _due.reset(token)

    scheduler.apply_async = publish_noted


def current_schedule() -> str | None:
    """Return the name of the schedule that is being published."""
    return _due.get()
