"""Makes an event's line and decides which segment it goes to, and when that is handed on."""

import math
import os
import time
from collections.abc import Iterable
from typing import Any, Final

from . import lifecycle
from .bucket import Bucket
from .carrier import Carrier
from .config import ObservabilityWriterConfig
from .events import Metric
from .exceptions import WriterShutdownError
from .interruption import pass_on_interruption
from .marks import SLOT, StartMarks
from .redaction import Redactor
from .results import FlushResult, WriterStats
from .segment import MappedSegment, Segment
from .serializer import encode
from .storage import LocalStorage, open_storage, storing
from .timestamps import iso_from_ns
from .vocabulary import EVENT_TYPES, EventType

MOST_OPEN: Final = 64  # files at a time, of one process; each takes two descriptors
REPORT_SECONDS: Final = 60.0  # the longest wait before what was dropped is written down


class EventBatcher:
    """Collects events in segments, one open per (type, project), and has them carried to the store.

    A segment is closed at ``batch_size`` events, before it would exceed ``max_file_size``,
    ``flush_interval_ms`` after its first event, and by ``flush``.
    """

    def __init__(self, config: ObservabilityWriterConfig) -> None:
        self.config = config
        local = config.dir_mode, config.file_mode, config.durability == "disk"
        where = os.devnull if config.disabled else config.file_storage  # nothing is stored then
        with storing():  # a log handler would ask for the writer that is being made
            self.storage = open_storage(where, *local)
        self.patience = config.shutdown_timeout_ms / 1000
        self._ended = False
        self._start_anew()
        if not config.disabled:
            lifecycle.watch(self)

    def _start_anew(self) -> None:
        self._batch_size = self.config.batch_size
        self._max_event_size = self.config.max_event_size
        redact = self.config.redact
        self._redactor = Redactor(redact if callable(redact) else None) if redact else None
        self._interval = self.config.flush_interval_ms / 1000 or math.inf
        self._reported_at = 0.0
        self._repaired = 0
        self._buckets: dict[tuple[EventType, str], Bucket] = {}
        self._past: dict[tuple[EventType, str], Bucket] = {}  # those that no event gets into
        self.carrier = Carrier(self)
        self._lock = self.carrier.lock

    def add(self, wire: dict[str, Any], encoded: tuple[bytes, bool] | None = None) -> Segment:
        """Keep an event; once this returns it outlives the process, where segments are mapped."""
        line, repaired = encoded or encode(wire, self._max_event_size, self._redactor)
        size = len(line)
        key = wire["type"], wire["projectId"]
        with self._lock:
            if (bucket := self._buckets.get(key)) is None:
                bucket = self._new_bucket(*key)
            while True:
                # No call between reading the position and moving it: whoever interrupts this
                # thread to record, finds the range taken.
                segment = bucket.segment
                start = segment.position
                end = start + size
                if end <= segment.room:
                    segment.position = end
                    break
                if not bucket.in_use:
                    self._close_one_of_many()
                bucket.make_room(size)
            try:
                segment.window[start:end] = line
            except BaseException:
                segment.torn = True
                raise
            segment.count += 1
            if repaired:
                self._repaired += 1
            if segment.count >= self._batch_size:
                bucket.close(segment)
        if self.carrier.inline:
            self.carrier.round(0, longest=0)  # whoever makes one already will come to this, too
        return segment

    def add_all(self, wires: Iterable[dict[str, Any]]) -> None:
        """Keep several events, with nothing of another thread's between them."""
        # Before the lock is taken: the values' own code may wait for who waits for the lock.
        both = [(wire, encode(wire, self._max_event_size, self._redactor)) for wire in wires]
        with self._lock:
            for wire, encoded in both:
                self.add(wire, encoded)

    def mark(self, wire: dict[str, Any]) -> tuple[StartMarks, int] | None:
        """Leave evidence, for the case of death, of a span that begins; *wire* is without its end.

        Returns where to clear the mark, and what. Never raises.
        """
        try:
            marks = self.carrier.spool.marks or self._first_marks()
            return (marks, marks.set(encode(wire, SLOT - 1, self._redactor)[0])) if marks else None
        except Exception as error:
            pass_on_interruption(error)
            return None

    def _first_marks(self) -> StartMarks | None:
        if not self._buckets and not self._ended:
            self.carrier.spool.begin()  # with buckets, the disk has refused one
        return self.carrier.spool.marks

    def _new_bucket(self, type: EventType, project_id: str) -> Bucket:
        if self._ended:
            raise WriterShutdownError
        bucket = Bucket(type, project_id, self.carrier)
        return self._buckets.setdefault((type, project_id), bucket)

    def _close_one_of_many(self) -> None:
        """Before another file is begun: descriptors are the application's."""
        in_use = [bucket for bucket in self._buckets.copy().values() if bucket.in_use]
        if len(in_use) > MOST_OPEN:
            oldest = min(in_use, key=lambda bucket: bucket.begun_at)
            oldest.close(oldest.segment)

    def prepare(self, forced: bool) -> float:
        """Close what is due, or with *forced* everything; seconds until something is due."""
        if forced or time.monotonic() - self._reported_at > REPORT_SECONDS:
            self._report_drops()
        wait = 3600.0
        many = len(self._buckets) > MOST_OPEN // 2
        for bucket in list(self._buckets.values()):
            with self._lock:
                in_use = bucket.in_use
                due = bucket.begun_at + self._interval - time.monotonic()
                if in_use and (forced or due <= 0):
                    bucket.close(bucket.segment)
                elif in_use:
                    wait = min(wait, due)
            if forced or many:  # maybe it is the end
                bucket.discard_spare()
            else:
                bucket.tend_spare(in_use)
        return wait

    def _report_drops(self) -> None:
        """Write beside the data what is missing from it, for whoever has only the files."""
        self._reported_at = time.monotonic()
        with self._lock:  # all of it: nobody ends the recording in between
            news = self.carrier.dropped - self.carrier.reported
            if not self._ended:
                self.carrier.reported += news
                for (type, reason), count in news.items():
                    self._report(type, reason, count)

    def _report(self, type: EventType, reason: str, count: int) -> None:
        carrier = self.carrier
        name, unit = "obswriter.events.dropped", "{event}"
        attributes = {"obswriter.event.type": type, "obswriter.reason": reason}
        event = Metric(name=name, value=count, unit=unit, attributes=attributes)
        wire = event.to_wire(self.config.project_id, iso_from_ns(time.time_ns()))
        segment = self.add(wire, encode(wire))  # nobody's own code is run in the lock
        segment.notes[type, reason] += count
        if segment.state == "dropped":
            carrier.reported[type, reason] -= count
        total = f"{carrier.dropped[type, reason]} in all"
        carrier.warn(f"{type} events were dropped ({reason})", total)

    def _open_segments(self) -> list[Segment]:
        return [s for bucket in list(self._buckets.values()) if (s := bucket.segment).count]

    def _count_in_memory(self) -> int:
        waiting = [*self._open_segments(), *self.carrier.queue]
        return sum(s.count for s in waiting if not isinstance(s, MappedSegment))

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Have everything recorded before the call take its turn at the store; in seconds."""
        return self.carrier.flush(self._open_segments(), timeout)

    def shutdown(self, timeout: float) -> FlushResult:
        """Take no more events, and close."""
        with self._lock:
            self._report_drops()
            self._end_recording(close=True)
        return self._close_down(timeout)

    def _end_recording(self, *, close: bool) -> None:
        if self._ended:
            return
        self._ended = True
        self._past, self._buckets = self._buckets, {}
        for bucket in self._past.values():
            if close and bucket.in_use:
                bucket.close(bucket.segment)

    def _close_down(self, timeout: float) -> FlushResult:
        """Flush, stop the thread and give the spool up, all within *timeout* seconds."""
        end = time.monotonic() + timeout
        result = self.flush(timeout)
        self.carrier.stop(max(0.0, end - time.monotonic()))
        return result

    def finish(self) -> None:
        """Remove the spares, and give the spool up; what is left in it is for the next process."""
        for bucket in [*self._buckets.values(), *self._past.values()]:
            bucket.discard_spare()
        self.carrier.spool.close(ends=self.carrier.inline)

    def hand_over(self, successor: "EventBatcher") -> None:
        """End without storing; what is in the spool goes to the successor's store."""
        with self._lock:
            in_spool = not self._count_in_memory()
            self._end_recording(close=successor.config.disabled or not in_spool)
            if successor.config.disabled:
                self.carrier.drop(self.carrier.queue.copy(), "disabled")
        if not in_spool:
            self.flush(self.patience)  # there is no spool to take it from
        self.carrier.stop(self.patience)
        _let_go(self._past, self.carrier)
        if not successor.config.disabled:
            successor.carrier.spool.take_over(self.carrier.spool)
            successor.carrier.wake()

    def end(self, timeout: float, *, threads_run: bool) -> None:
        """Store what there is while the interpreter ends; what comes later, each at once.

        Storing locally is renaming, and works to the very end. An upload that needs a new
        thread fails as soon as the end has begun: if no connection is open yet, or anything is
        left, a child process does it.
        """
        local = isinstance(self.storage, LocalStorage)
        end = time.monotonic() + timeout
        if self.carrier.stopping:
            return  # shut down
        if threads_run:
            known_by_url = isinstance(self.config.file_storage, str)
            if local or self.carrier.files_written or not known_by_url:
                self.flush(timeout)
        elif local:
            self._batch_size = 1
            self.carrier.inline = True  # first: other threads may be recording
            self._close_down(timeout)
            self.flush(max(0.0, end - time.monotonic()))
        else:
            self.carrier.stop(timeout)
            self.carrier.spool.send_by_child(max(0.0, end - time.monotonic()))
        if not threads_run and (lost := self._count_in_memory()):
            self.carrier.warn("events in memory could not be stored, and are lost", lost)
            self.carrier.say(always=True)

    def abandon(self) -> None:
        """In a forked child: begin with nothing, then let go of all that is the parent's."""
        buckets, carrier = self._buckets, self.carrier
        self._start_anew()
        _let_go(buckets, carrier)

    def stats(self) -> WriterStats:
        """Return the counts of one moment."""
        carrier = self.carrier
        with self._lock:
            buffered = _count(s for s in self._open_segments() if s.state == "open")
            in_flight = _count(carrier.queue)
            written = {type: carrier.written[type] for type in EVENT_TYPES}
            drops = carrier.dropped.items()
            dropped = {t: {why: n for (own, why), n in drops if own == t} for t in EVENT_TYPES}
            parts = buffered, in_flight, written, {t: sum(dropped[t].values()) for t in dropped}
            return WriterStats(
                total_events_buffered=sum(buffered.values()),
                total_events_written=sum(written.values()),
                total_files_written=carrier.files_written,
                last_flush_at=carrier.last_flush_at,
                buffers_by_type=buffered,
                recorded={type: sum(part[type] for part in parts) for type in EVENT_TYPES},
                written=written,
                in_flight=in_flight,
                dropped=dropped,
                recovered=carrier.spool.recovered,
                repaired=self._repaired,
            )


def _let_go(buckets: dict[tuple[EventType, str], Bucket], carrier: Carrier) -> None:
    """Close descriptors and maps, and touch no file."""
    segments = [segment for b in buckets.values() for segment in (b.segment, b.spare)]
    for segment in filter(None, (*segments, *carrier.queue)):
        segment.close()


def _count(segments: Iterable[Segment]) -> dict[EventType, int]:
    counts = dict.fromkeys(EVENT_TYPES, 0)
    for segment in segments:
        counts[segment.type] += segment.count
    return counts
