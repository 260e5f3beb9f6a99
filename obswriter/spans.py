"""``LiveSpan``: a span that is going on, from its beginning to its record."""

from collections.abc import Callable, Mapping
from time import perf_counter_ns, time_ns
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

from . import context, lifecycle, process
from .events import trace_of
from .ids import new_span_id, new_trace_id
from .interruption import tolerated
from .lenient import as_attributes, as_text, as_word, exception_attributes, type_name
from .propagation import SAMPLED, SpanContext
from .timestamps import iso_from_ns
from .vocabulary import STATUSES, SpanKind, Status

F = TypeVar("F", bound=Callable[..., Any])
CLOCK_STEP: Final = 100_000_000
"""Nanoseconds; smaller corrections of a clock are spread by NTP, and not made in one step."""
Attributes: TypeAlias = Mapping[str, Any] | None
Parent: TypeAlias = "context.SpanLike | None"


class LiveSpan:
    """A span that is going on: a context manager, and a decorator of functions.

    It ends, and is recorded, where the ``with`` block ends. An exception that leaves the block
    is added as an event, sets status ``error``, and goes on its way.
    """

    __slots__ = (
        "_attributes", "_events", "_extra", "_generation", "_inner", "_is_root", "_kind", "_mark",
        "_name", "_offset", "_parent", "_previous", "_started", "_status", "_stopped", "_wire",
        "baggage", "id", "trace_flags", "trace_id", "tracestate",
    )  # fmt: skip

    def __init__(
        self, name: str, kind: SpanKind, attributes: Attributes, parent: Parent, extra: Attributes
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = as_attributes(attributes)
        known = parent is None or issubclass(type(parent), (SpanContext, LiveSpan))
        self._parent = parent if known else None
        self._extra = extra
        self._events: list[dict[str, Any]] | None = None
        self._status: Status = "unset"
        self._started = self._stopped = self._generation = self.trace_flags = 0
        self.id = self.trace_id = self.tracestate = self.baggage = ""

    def __enter__(self) -> Self:
        writer = process.writer or process.current_writer()
        if self._started or writer.disabled:
            return self
        self._generation = generation = lifecycle.generation
        self._previous = previous = context.current()
        parent = self._parent or previous
        # A span that was open when this process was forked is its parent process's.
        is_root = not isinstance(parent, LiveSpan) or parent._generation != generation
        if self._extra is not None and parent is not None and not is_root:
            # A trace is a root: within a span of this process it is another, with a link.
            self._attributes["obswriter.link.trace_id"] = parent.trace_id
            self._attributes["obswriter.link.span_id"] = parent.id
            parent, is_root = None, True
        if parent is None:
            self.trace_id = new_trace_id()
            self.trace_flags = writer.flags_of_new_trace(self.trace_id)
        else:
            self.trace_id = parent.trace_id
            self.trace_flags = parent.trace_flags
            self.tracestate = parent.tracestate
            self.baggage = parent.baggage
        self.id = new_span_id()
        context.attach(self)
        self._started = started = time_ns()
        self._offset = started - perf_counter_ns()
        start = iso_from_ns(started)
        # All keys at once, in their order: adding them later makes the dict grow, which takes time.
        wire: dict[str, Any] = {
            "type": "span",
            "id": self.id,
            "traceId": self.trace_id,
            "parentSpanId": parent and parent.id,
            "projectId": writer.config.project_id,
            "name": self._name,
            "startTime": start,
            "endTime": start,
            "status": "unset",
            "spanKind": self._kind,
            "attributes": self._attributes,
            "recordedAt": start,
        }
        self._wire = wire
        if parent is None:
            del wire["parentSpanId"]
        self._is_root = is_root
        if is_root:
            left_out = not self.trace_flags & SAMPLED and writer.leaves_out("error")
            self._mark = None if left_out else writer.mark(wire)
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: object
    ) -> Literal[False]:
        if self._started:
            try:
                if error is not None:
                    with tolerated():  # its class may be as hostile as its values
                        self._note(error)
            finally:
                self._end()
        return False

    def _end(self) -> None:
        # In another context (a generator closed elsewhere) the current span is not ours.
        if context.current() is self:
            previous = self._previous
            while isinstance(previous, LiveSpan) and not previous._started:  # ended before us
                previous = previous._previous
            context.attach(previous)
        started, self._started = self._started, 0
        if self._generation != lifecycle.generation:
            return  # its parent process records it
        now = time_ns()
        stopped = self._stopped or self._by_any_clock(now, started)
        recorded = iso_from_ns(now)
        writer = process.writer or process.current_writer()
        wire = self._wire
        wire["projectId"] = writer.config.project_id
        wire["name"] = self._name
        wire["endTime"] = recorded if stopped == now else iso_from_ns(stopped)
        wire["status"] = self._status
        wire["recordedAt"] = recorded
        if not self._attributes:
            del wire["attributes"]
        if self._events:
            wire["events"] = self._events
            wire["recordedAt"] = wire.pop("recordedAt")  # is the last
        left_out = not self.trace_flags & SAMPLED and writer.leaves_out(self._status)
        keep = writer.leave_out if left_out else writer.append
        if self._is_root and self._mark is not None:
            marks, at = self._mark
            marks.clear(at)
        keep(wire)
        if self._is_root:
            keep(trace_of(wire, self._extra))

    def suspend(self) -> None:
        """Stop being the current span for a while: the code around a generator goes on."""
        if self._started:
            # One that was begun within it, and left open.
            self._inner = None if context.current() is self else context.current()
            context.attach(self._previous)

    def resume(self) -> None:
        """Be the current span again, maybe in another context."""
        if self._started:
            self._previous = context.current()
            context.attach(self._inner or self)
            self._inner = None

    def stop_clock(self) -> None:
        """Let the span end now, though its block goes on: what is said later still counts."""
        if self._started:
            self._stopped = self._by_any_clock(time_ns(), self._started)

    def _by_any_clock(self, now: int, started: int) -> int:
        """Return *now*, or where somebody has set the wall clock meanwhile, what it would be."""
        steady = perf_counter_ns() + self._offset
        # Both clocks were read at the start, one after the other: that may have taken some time.
        if started <= now and -CLOCK_STEP < now - steady < CLOCK_STEP:
            return now
        return steady

    def _note(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # cancelled, interrupted, closed: visible, no failure
            self._attributes.setdefault("obswriter.ended_by", type_name(error))
            # But a worker that is made to exit leaves whoever called it without an answer.
            if not (isinstance(error, SystemExit) and self._kind in ("server", "consumer")):
                return
        self.record_exception(error)
        self._status = "error"
        self._attributes.setdefault("error.type", type_name(error))

    # -- what the block may say --------------------------------------------------------------

    def set_name(self, name: str) -> None:
        """Rename the span: a web request's route, say, is known only after routing."""
        self._name = as_text(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Set one attribute; the name should be one of OpenTelemetry's where there is one."""
        self._attributes[name if type(name) is str else as_text(name)] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        self._attributes.update(as_attributes(attributes))

    def set_status(self, status: Status, description: str | None = None) -> None:
        """Set ``ok``, ``error`` or ``unset``."""
        self._status = as_word(status, STATUSES, "unset")
        if description is not None:
            self._attributes["otel.status_description"] = description

    def add_event(self, name: str, attributes: Attributes = None) -> None:
        """Note something that happens now."""
        event: dict[str, Any] = {"name": as_text(name), "timestamp": iso_from_ns(time_ns())}
        if own := as_attributes(attributes):
            event["attributes"] = own
        if self._events is None:
            self._events = []
        self._events.append(event)

    def record_exception(self, error: BaseException) -> None:
        """Add an exception as an event with type, message and stack trace; the status stays."""
        self.add_event("exception", exception_attributes(error))

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function or (async) generator function."""
        from .decorate import decorate

        return decorate(function, self._fresh)

    def _fresh(self) -> Self:
        extra = self._extra and dict(self._extra)
        return type(self)(self._name, self._kind, self._attributes, self._parent, extra)


class LiveTrace(LiveSpan):
    """The root of a trace, which also has an input, an output and metadata."""

    __slots__ = ()
    _extra: dict[str, Any]

    def set_output(self, output: Any) -> None:
        """Say what came out."""
        self._extra["output"] = output
