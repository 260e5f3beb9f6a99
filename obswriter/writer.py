"""``ObservabilityWriter``: takes events, checks them, and has them kept and stored."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import time_ns
from typing import Any

from . import context
from .batcher import EventBatcher
from .config import ObservabilityWriterConfig
from .events import Event, Log, Metric, Score, Span, Trace, as_event
from .exceptions import WriterShutdownError
from .interruption import pass_on_interruption
from .propagation import RANDOM, SAMPLED
from .results import FlushResult, WriterStats
from .storage import LocalStorage, destination_of, open_storage
from .timestamps import iso_from_ns
from .vocabulary import EventType

Fields = Mapping[str, Any]


class ObservabilityWriter:
    """Writes events to files in a store. Takes the options of ``ObservabilityWriterConfig``.

    Options that are not given come from ``OBSWRITER_*`` variables. An instance may be used from
    any thread and outlives a fork: the child goes on with nothing of its parent's.
    """

    def __init__(self, config: ObservabilityWriterConfig | None = None, **options: Any) -> None:
        if config is None:
            config = ObservabilityWriterConfig.resolve(options)
        elif options or not isinstance(config, ObservabilityWriterConfig):
            wanted = "options by name, or an ObservabilityWriterConfig and nothing else"
            given = f"{config!r} and {', '.join(options) or 'no options'}"
            raise TypeError(f"ObservabilityWriter() takes {wanted}; got {given}")
        self.config = config
        self.disabled = config.disabled
        self.samples = config.sample_rate < 1
        self._batcher = EventBatcher(config)
        self.mark = self._batcher.mark  # for obswriter's own modules
        self._shut_down = False
        self.implicit = False  # made by the first event, and gives way to configure()
        self.successor: ObservabilityWriter | None = None
        if not config.disabled:
            context.load()  # before any fork: one in the middle of an import leaves its lock held

    @property
    def project_id(self) -> str:
        """The project of events that name none."""
        return self.config.project_id

    @property
    def is_shutdown(self) -> bool:
        """Whether ``shutdown()`` was called."""
        return self._shut_down

    def record_trace(self, trace: Trace | Fields) -> None:
        """Record a trace, or a mapping with a trace's fields."""
        self._record(Trace, trace)

    def record_span(self, span: Span | Fields) -> None:
        """Record a span, or a mapping with a span's fields."""
        self._record(Span, span)

    def record_log(self, log: Log | Fields) -> None:
        """Record a log; without ids of its own it gets the current span's."""
        self._record(Log, log)

    def record_metric(self, metric: Metric | Fields) -> None:
        """Record a metric; without ids of its own it gets the current span's."""
        self._record(Metric, metric)

    def record_score(self, score: Score | Fields) -> None:
        """Record a score; without ids of its own it gets the current span's."""
        self._record(Score, score)

    def record_events(self, events: Iterable[Event | Fields]) -> None:
        """Record all of *events* or, if one is malformed, none. A mapping needs a ``type``."""
        if self.disabled:
            return
        if self._shut_down:
            raise WriterShutdownError
        self._batcher.add_all([self._wire(as_event(event)) for event in events])

    def _record(self, kind: type[Event], event: Event | Fields) -> None:
        if self.disabled:
            return
        if self._shut_down:
            raise WriterShutdownError
        if type(event) is not kind:
            event = kind.of(event)
        self._batcher.add(self._wire(event))

    def _wire(self, event: Event) -> dict[str, Any]:
        wire = event.to_wire(self.config.project_id, iso_from_ns(time_ns()))
        if "traceId" not in wire and "spanId" not in wire and event.type != "trace":
            add_current_ids(wire)
        return wire

    def append(self, wire: dict[str, Any]) -> None:
        """For obswriter's own modules: record a wire dict that is right by construction.

        Never raises. After ``shutdown()`` the successor gets it, or it is dropped and counted.
        """
        if not self._shut_down and not self.disabled:
            try:
                self._batcher.add(wire)
                return
            except WriterShutdownError:  # since we asked
                pass
            except Exception as error:
                pass_on_interruption(error)
                self.drop(wire["type"], "invalid")
                return
        if self.successor is not None:
            self.successor.append(wire)
        else:
            self.drop(wire["type"], "shutdown")

    def drop(self, type: EventType, reason: str, detail: object = None) -> None:
        """For obswriter's own modules: count an event that could not be recorded."""
        if not self.disabled:
            self._batcher.carrier.count_dropped(type, reason, detail)

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Store everything recorded before the call; *timeout* is in seconds.

        Returns when each file has had its turn at the store: what could not be stored is
        reported, waits in the spool and is tried again. Never raises for the store's errors.
        """
        return self._batcher.flush(None if timeout is None else _bounded(timeout))

    def shutdown(self, timeout: float | None = None) -> FlushResult:
        """Flush and end; further events are refused. *timeout* is in seconds.

        Without a timeout, ``shutdown_timeout_ms`` counts. What is left then stays in the spool
        for the next process, and is reported.
        """
        self._shut_down = True
        seconds = self._batcher.patience if timeout is None else _bounded(timeout)
        return self._batcher.shutdown(seconds)

    async def aflush(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109 (as flush)
        """``flush()`` without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.flush, timeout)

    async def ashutdown(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109 (as shutdown)
        """``shutdown()`` without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.shutdown, timeout)

    def get_stats(self) -> WriterStats:
        """Return the counts of this process, all of one moment."""
        return self._batcher.stats()

    def is_made_by(self, config: ObservabilityWriterConfig) -> bool:
        """Whether *config* asks for this very writer, the store's place maybe written otherwise."""
        here = self._batcher.storage
        if config == self.config or not isinstance(here, LocalStorage):
            return config == self.config
        alike = replace(config, file_storage=self.config.file_storage) == self.config
        return alike and destination_of(open_storage(config.file_storage)) == here.destination

    def give_way(self, successor: "ObservabilityWriter") -> None:
        """End, and pass on to *successor* what comes later; if implicit, what waits as well."""
        self.successor = successor
        if self.implicit:
            self._shut_down = True
            self._batcher.hand_over(successor._batcher)
        else:
            self.shutdown()

    def flags_of_new_trace(self, trace_id: str) -> int:
        """For obswriter's own modules: whether a trace that begins here is sampled, by its id.

        The last 56 bits are random, as the flag says; the upper share of them is kept, so that
        services with other rates keep parts of the same traces (OpenTelemetry's TraceState).
        """
        left_out = self.samples and int(trace_id[-14:], 16) < (1 - self.config.sample_rate) * 2**56
        return RANDOM if left_out else RANDOM | SAMPLED

    def leave_out(self, wire: dict[str, Any]) -> None:
        """For obswriter's own modules: count a span or trace that is not sampled."""
        self.drop(wire["type"], "sampled_out")

    def leaves_out(self, status: str) -> bool:
        """For obswriter's own modules: whether a span of a trace that is not sampled is dropped."""
        return self.samples and not (status == "error" and self.config.sample_errors)


def _bounded(timeout: float) -> float:
    """Return what a wait can take: any number is a timeout."""
    return min(max(0.0, timeout), threading.TIMEOUT_MAX)


def add_current_ids(wire: dict[str, Any]) -> None:
    """Make an event belong to the current span; ``recordedAt`` stays last."""
    span = context.current()
    if span is not None:
        wire["traceId"] = span.trace_id
        wire["spanId"] = span.id
        wire["recordedAt"] = wire.pop("recordedAt")
