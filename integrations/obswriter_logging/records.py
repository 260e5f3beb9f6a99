"""What a log event says of a ``logging.LogRecord``: level, message, time and attributes."""

import logging
import re
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from time import time_ns
from typing import Any, Final

from obswriter import LiveSpan, context
from obswriter.ids import new_span_id
from obswriter.lenient import as_text, exception_attributes, type_name
from obswriter.timestamps import iso_from_ns

_LEVELS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}

_IN_ORDER: Final = tuple(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
_STANDARD: Final = frozenset(_IN_ORDER)
_NOT_EXTRA: Final = _STANDARD | {"message", "asctime", "taskName"}
"""What Python puts on a record; all else came from ``extra``, a filter or a record factory."""

_TASK = ("taskName",) if "taskName" in _STANDARD else ()  # since Python 3.12
_RARE: Final = itemgetter("stack_info", "exc_info", "exc_text", "processName", *_TASK)
_PLAIN: Final = (None, None, None, "MainProcess", *(None for _ in _TASK))
"""What the rest of most records says: nothing."""

_is_trace_id = re.compile("[0-9a-f]{32}").fullmatch
_is_span_id = re.compile("[0-9a-f]{16}").fullmatch


def wire_of(record: logging.LogRecord, project_id: str, template: bool) -> dict[str, Any]:
    """Return *record* as a log event on the wire; with *template*, its unformatted parts too."""
    attributes = attributes_of(record)
    message = message_of(record, attributes)
    now = iso_from_ns(time_ns())  # what formatting logs in turn comes before
    if template:
        attributes["obswriter.log.template"] = record.msg
        if record.args:
            attributes["obswriter.log.arguments"] = record.args
    wire = {
        "type": "log",
        "id": new_span_id(),
        "projectId": project_id,
        "timestamp": time_of(record) or now,
        "level": level_of(record),
        "message": message,
        "attributes": attributes,
    }
    if not ("trace_id" in attributes and take_ids(attributes, wire)):
        span = context.current()
        if span is None and "request" in attributes:
            span = _span_of(attributes["request"])
        if span is not None:
            wire["traceId"], wire["spanId"] = span.trace_id, span.id
    wire["recordedAt"] = now
    return wire


def _span_of(request: object) -> LiveSpan | None:
    """Django says of a response that it is an error when its middleware has done with it."""
    try:
        span = vars(request).get("_obswriter_span")
    except Exception:  # whatever somebody calls a request
        return None
    return span if isinstance(span, LiveSpan) else None


def level_of(record: logging.LogRecord) -> str:
    """Return the event's level: a level of one's own counts as the next lower standard one."""
    known = _LEVELS.get(record.levelno)
    if known is not None:
        return known
    if not isinstance(record.levelno, int | float):
        return "info"
    lower = [name for number, name in _LEVELS.items() if number <= record.levelno]
    return lower[-1] if lower else "debug"


def time_of(record: logging.LogRecord) -> str | None:
    """Return when the record was made; ``None`` if it doesn't know."""
    try:
        # A float of seconds is good for microseconds, no further.
        return iso_from_ns(round(record.created * 1e6) * 1000)
    except Exception:
        return None


def attributes_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the record carries, exception included, under OpenTelemetry's names."""
    attributes: dict[str, Any] = {
        "logger.name": record.name,
        "code.file.path": record.pathname,
        "code.line.number": record.lineno,
        "code.function.name": record.funcName,
        "process.pid": record.process,
        "thread.id": record.thread,
        "thread.name": record.threadName,
    }
    if None in attributes.values():  # logging can be told not to look
        attributes = {name: value for name, value in attributes.items() if value is not None}
    fields = vars(record)
    if _RARE(fields) != _PLAIN or record.levelno not in _LEVELS:
        attributes.update(_rarely_there(record))
    if len(fields) != len(_STANDARD):
        for name in _extra(fields):
            attributes[name] = fields[name]
    return attributes


def _extra(fields: dict[str, Any]) -> Iterable[str]:
    """Return the names of what was added; it comes last, unless a record factory is in play."""
    last = iter(islice(fields, len(_IN_ORDER) - 1, None))
    names = last if next(last, None) == _IN_ORDER[-1] else fields
    return [name for name in names if name not in _NOT_EXTRA]


def _rarely_there(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if task := getattr(record, "taskName", None):
        found["obswriter.task.name"] = task
    if record.processName not in (None, "MainProcess"):
        found["obswriter.process.name"] = record.processName
    if record.stack_info:
        found["code.stacktrace"] = record.stack_info
    if record.levelno not in _LEVELS:
        found["obswriter.level"] = record.levelname
    if record.exc_info or record.exc_text:
        found.update(_exception(record))
    return found


def _exception(record: logging.LogRecord) -> dict[str, Any]:
    found = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if found is not None:
        return exception_attributes(found)
    # From another process a record brings only what was formatted there.
    return {"exception.stacktrace": record.exc_text} if record.exc_text else {}


def message_of(record: logging.LogRecord, attributes: dict[str, Any]) -> str:
    """Return the message; if it can't be formatted, its parts, and in *attributes* why."""
    try:
        return record.getMessage()
    except Exception as error:
        attributes["obswriter.log.arguments"] = record.args
        attributes["obswriter.log.error"] = type_name(error)
        return as_text(record.msg)


def take_ids(attributes: dict[str, Any], wire: dict[str, Any]) -> bool:
    """Move the ids that ``TraceContextFilter`` noted to the event; whether they were there.

    A ``trace_id`` that is no W3C trace id is somebody else's, and stays an attribute.
    """
    trace_id, span_id = attributes["trace_id"], attributes.get("span_id")
    if not isinstance(trace_id, str) or not isinstance(span_id, str):
        return False
    known = _is_trace_id(trace_id) and _is_span_id(span_id)
    if known or not (trace_id or span_id):
        del attributes["trace_id"], attributes["span_id"]
    if known:
        wire["traceId"], wire["spanId"] = trace_id, span_id
    return bool(known)
