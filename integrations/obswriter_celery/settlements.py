"""``settle <task>``: how a task ended, where the worker's main process is who decides it.

The task was revoked or expired, the child that ran it is gone, nobody knows a task of that name,
or the message is none of Celery's.
"""

from typing import Any
from weakref import WeakValueDictionary

from celery.app.task import Context, Task
from celery.exceptions import NotRegistered, Reject

from obswriter.propagation import extract

from . import options, runs, worker
from .attributes import describe_message, never_raising
from .metrics import record_worker

_SETTLE = "settle", "settle"

_received: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""What a worker's children work on, by task id."""


@never_raising
def note_received(request: Any, **_: object) -> None:
    """Know the request, in case the child that runs it is lost. ``task_received``."""
    _received[request.id] = request
    if options.chosen.metrics:
        record_worker(request.hostname, just_received=1)


@never_raising
def note_heartbeat(sender: Any, **_: object) -> None:
    """Measure the worker while nothing is received. ``heartbeat_sent``."""
    if options.chosen.metrics:
        record_worker(sender.eventer.hostname)


@never_raising
def note_failure(
    sender: Task[Any, Any], task_id: str, exception: BaseException, **_: object
) -> None:
    """Note what a task raised, or that its process is gone. ``task_failure``."""
    if runs.note_failure(sender, exception):
        return
    request = _received.pop(task_id, None)
    if request and not isinstance(exception, Reject):
        _settle(sender, Context(request.request_dict), "FAILURE", exception)


@never_raising
def note_retry(sender: Task[Any, Any], request: Context, reason: Any = None, **_: object) -> None:
    """Note why a task is tried again. ``task_retry``."""
    if not runs.note_retry(request, reason):
        _settle(sender, request, "RETRY", None)


@never_raising
def note_revoked(
    sender: Task[Any, Any], request: Context, terminated: bool, expired: bool, **_: object
) -> None:
    """Record a task that did not get to run, or to its end. ``task_revoked``."""
    reason = "terminated" if terminated else "expired" if expired else "revoked"
    _settle(sender, request, "REVOKED", None, {"celery.revoked.reason": reason})


@never_raising
def note_unknown(message: Any, name: str, **_: object) -> None:
    """Record a task that this worker does not have. ``task_unknown``."""
    _refuse(message, name, NotRegistered(name))


@never_raising
def note_rejected(message: Any, exc: BaseException | None, **_: object) -> None:
    """Record a message that is no task, or that cannot be read. ``task_rejected``."""
    _refuse(message, "", exc)


def _settle(
    task: Task[Any, Any],
    request: Context,
    state: str,
    error: BaseException | None,
    attributes: dict[str, Any] | None = None,
) -> None:
    told = runs.describe_request(_SETTLE, task, request)
    told |= {"celery.worker": request.hostname, "celery.pool": worker.pool, "celery.state": state}
    told |= attributes or {}
    with runs.span_of(f"settle {task.name}", told, runs.publisher(request)) as span:
        if error is not None:
            runs.note_error(span, error)


def _refuse(message: Any, name: str, error: BaseException | None) -> None:
    headers = message.headers or {}
    route = message.delivery_info or {}
    where = route.get("exchange"), route.get("routing_key")
    told = describe_message(_SETTLE, name, headers, *where)
    if not name:  # a name that is no task's might be anything
        del told["celery.task.name"]
    told["celery.state"] = "REJECTED"
    with runs.span_of(f"settle {name}".strip(), told, extract(headers)) as span:
        if error is None:
            span.set_status("error", "the message is no task")
            span.set_attribute("error.type", "_OTHER")
        else:
            runs.note_error(span, error)
