"""A span for each run of a task: ``run <task>``, below the span it was published in."""

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from celery.app.task import Context, Task

import obswriter
from obswriter import LiveSpan, SpanContext, context
from obswriter.lenient import as_text, type_name
from obswriter.propagation import extract, inject

from . import options, worker
from .attributes import PUBLISHED, SCHEDULE, describe_message, never_raising
from .metrics import record_run
from .values import as_recorded, named_arguments


@dataclass(slots=True)
class Run:
    """A run that is going on, what its span began with, and which span was current before."""

    span: LiveSpan
    attributes: dict[str, Any]
    before: "LiveSpan | SpanContext | None"
    began: float
    error_type: str | None = None


_running: WeakKeyDictionary[Context, Run] = WeakKeyDictionary()
"""The runs of this process, by their requests."""


@never_raising
def begin_run(task: Task[Any, Any], args: Any, kwargs: Any, **_: object) -> None:
    """Begin the span. ``task_prerun``."""
    request = task.request
    before = context.current()
    within = request.is_eager and before is not None
    attributes = _describe_run(task, request)
    if options.chosen.arguments:
        attributes["celery.task.arguments"] = named_arguments(task, args, kwargs)
    span = span_of(f"run {task.name}", attributes, None if within else publisher(request))
    span.__enter__()
    if not span.trace_id:
        return
    _running[request] = Run(span, attributes, before, time.perf_counter())
    if request.is_eager:  # what a message would have brought: a retry is made from it
        request.headers = dict(request.headers or {})
        inject(request.headers)


def _describe_run(task: Task[Any, Any], request: Context) -> dict[str, Any]:
    attributes = describe_request(("run", "process"), task, request)
    if schedule := _sent(request, SCHEDULE):
        attributes["celery.schedule.name"] = schedule
    if request.is_eager:
        return attributes
    attributes["celery.worker"] = request.hostname
    attributes["celery.pool"] = worker.pool
    if (request.delivery_info or {}).get("redelivered"):
        attributes["celery.redelivered"] = True
    if isinstance(published := _sent(request, PUBLISHED), float):
        due = max(published, _moment_of(request.eta))
        attributes["celery.queue_time"] = round(max(0.0, time.time() - due), 6)
    return attributes


def _sent(request: Context, header: str) -> Any:
    """A message's own header: where it lies in a request depends on the protocol."""
    return (request.headers or {}).get(header, getattr(request, header, None))


def _moment_of(eta: object) -> float:
    """Return a request's ``eta`` in seconds since 1970; 0 without one."""
    try:
        return datetime.fromisoformat(str(eta)).timestamp() if eta else 0.0
    except ValueError:
        return 0.0


@never_raising
def end_run(task: Task[Any, Any], state: str | None = None, **_: object) -> None:
    """End the span. ``task_postrun``."""
    run = _running.pop(task.request, None)
    if run is None:
        return
    span = run.span
    if state:
        run.attributes["celery.state"] = state
        span.set_attribute("celery.state", state)
        span.__exit__(None, None, None)
    else:  # an exception is on its way through Celery, which has no state for it
        span.__exit__(*sys.exc_info())
    if context.current() is not run.before:  # the task left a span open
        context.attach(run.before)
    if options.chosen.metrics:
        record_run(time.perf_counter() - run.began, run.attributes, run.error_type)


@never_raising
def note_result(sender: Task[Any, Any], result: Any, **_: object) -> None:
    """Note what a task returned, on request. ``task_success``."""
    run = _running.get(sender.request) if options.chosen.results else None
    if run is not None:
        run.span.set_attribute("celery.task.result", as_recorded(result))


def note_failure(task: Task[Any, Any], error: BaseException) -> bool:
    """Note what a task raised that runs here; whether there is one.

    What the task's ``throws`` names is no error.
    """
    run = _running.get(task.request)
    if run is None:
        return False
    expected = isinstance(error, tuple(task.throws or ()))
    run.error_type = None if expected else type_name(error)
    note_error(run.span, error, expected=expected)
    return True


def note_retry(request: Context, reason: Any) -> bool:
    """Note why a task that runs here is tried again; whether there is one. No error yet."""
    run = _running.get(request)
    if run is None:
        return False
    error = getattr(reason, "exc", None)
    if isinstance(error, Exception):
        run.span.record_exception(error)
    run.span.set_attribute("celery.retry.reason", as_text(error or str(reason)))
    return True


def describe_request(
    operation: tuple[str, str], task: Task[Any, Any], request: Context
) -> dict[str, Any]:
    """Return what spans of a task's request have in common."""
    route = request.delivery_info or {}
    where = route.get("exchange"), route.get("routing_key")
    return describe_message(operation, task.name, request, *where)


def span_of(name: str, attributes: dict[str, Any], parent: SpanContext | None) -> LiveSpan:
    """Make a consumer's span, below the publisher's or with a link to it."""
    if parent is not None and options.chosen.link:
        attributes["obswriter.link.trace_id"] = parent.trace_id
        attributes["obswriter.link.span_id"] = parent.id
        parent = None
    return obswriter.span(name, kind="consumer", attributes=attributes, parent=parent)


def publisher(request: Context) -> SpanContext | None:
    """Return the span that a request's message was published in."""
    return extract(request.headers or {}) or extract(vars(request))


def note_error(span: LiveSpan, error: BaseException, *, expected: bool = False) -> None:
    """Add an exception to a span, and have it say that the task failed unless it is expected."""
    span.record_exception(error)
    if not expected:
        span.set_status("error")
        span.set_attribute("error.type", type_name(error))
