"""What application code calls: ``trace()``, ``span()``, ``log()``, ``metric()``, ``score()``.

Nothing here ever raises for what it is given: values are repaired, or the event is dropped and
counted. Each works on the process-wide writer, and does nothing where that is disabled.
"""

from time import time_ns
from types import FunctionType
from typing import Any

from . import context, process
from .ids import new_span_id
from .lenient import as_attributes, as_text, as_word
from .propagation import SpanContext
from .spans import Attributes, F, LiveSpan, LiveTrace
from .timestamps import iso_from_ns
from .vocabulary import LEVELS, SPAN_KINDS, EventType, SpanKind, to_number
from .writer import add_current_ids

INTERNAL: SpanKind = "internal"


def trace(
    name: str, *, input: Any = None, metadata: Attributes = None, parent: SpanContext | None = None
) -> LiveTrace:
    """Begin a trace: a root span and a trace event of the same name.

    Its id is a remote *parent*'s (from ``traceparent``), or a new one.
    """
    if isinstance(name, FunctionType):  # a decorator without parentheses
        return trace(name.__qualname__)(name)
    extra = {"input": input, "metadata": as_attributes(metadata) or None}
    return LiveTrace(as_text(name), INTERNAL, None, parent, extra)


def span(
    name: str,
    *,
    kind: SpanKind = INTERNAL,
    attributes: Attributes = None,
    parent: SpanContext | None = None,
) -> LiveSpan:
    """Begin a span below the current one, or below a remote *parent*.

    Without a parent in this process it is a local root, and writes a trace event too.
    """
    if kind is not INTERNAL:
        kind = as_word(kind, SPAN_KINDS, INTERNAL)
    if type(name) is not str:
        if isinstance(name, FunctionType):  # a decorator without parentheses
            return observe(name)
        name = as_text(name)
    return LiveSpan(name, kind, attributes, parent, None)


def current_span() -> "context.SpanLike | None":
    """Return the span that is going on here: its ``trace_id`` and ``id``, say, for a response."""
    return context.current()


def observe(function: F) -> F:
    """Decorate a function: each call is a span named after it."""
    inner = getattr(function, "func", function)  # a partial's arguments are nobody's business
    return span(getattr(inner, "__qualname__", type(inner).__qualname__))(function)


_LEVEL_NAMES = {"warning": "warn", "critical": "fatal", "exception": "error", "trace": "debug"}
_LEVEL_NAMES |= dict(zip("10 20 30 40 50".split(), LEVELS, strict=True))  # the ones of `logging`


def log(level: str, message: str, *, attributes: Attributes = None) -> None:
    """Record a log: ``debug``, ``info``, ``warn``, ``error`` or ``fatal``."""
    own = as_attributes(attributes)
    word = as_text(level).lower()
    known = _LEVEL_NAMES.get(word, word)
    if known not in LEVELS:
        own["obswriter.level"] = level
        known = "info"
    _record("log", {"level": known, "message": as_text(message)}, own)


def metric(
    name: str, value: float, *, unit: str | None = None, attributes: Attributes = None
) -> None:
    """Record one measured value; *unit* as in UCUM (``s``, ``ms``, ``By``, ``1``)."""
    _record("metric", {"name": as_text(name), "value": value, **_given(unit=unit)}, attributes)


def score(
    name: str,
    value: float,
    *,
    comment: str | None = None,
    attributes: Attributes = None,
    trace_id: str | None = None,
    span_id: str | None = None,
) -> None:
    """Record a judgement of the current span, or of the trace and span named."""
    given = _given(comment=comment, traceId=trace_id, spanId=span_id)
    _record("score", {"name": as_text(name), "value": value, **given}, attributes)


def _record(type: EventType, fields: dict[str, Any], attributes: object) -> None:
    writer = process.current_writer()
    if writer.disabled:
        return
    if type != "log":
        try:
            fields["value"] = to_number(fields["value"])
        except Exception as error:
            writer.drop(type, "invalid", f"{fields['name']}: {as_text(error)}")
            return
    now = iso_from_ns(time_ns())
    wire = {"type": type, "id": new_span_id(), "projectId": writer.config.project_id, **fields}
    wire["timestamp"] = now
    if own := as_attributes(attributes):
        wire["attributes"] = own
    wire["recordedAt"] = now
    if "traceId" not in wire and "spanId" not in wire:
        add_current_ids(wire)
    writer.append(wire)


def _given(**optional: object) -> dict[str, str]:
    """Which of the fields were given, as text; an empty text is none."""
    texts = {name: as_text(value) for name, value in optional.items() if value is not None}
    return {name: text for name, text in texts.items() if text}
