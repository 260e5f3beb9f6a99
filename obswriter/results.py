"""What ``flush``, ``shutdown`` and ``get_stats`` return, and what that is counted in."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from .exceptions import StorageError
from .segment import Segment
from .vocabulary import EventType


@dataclass(frozen=True, slots=True)
class FlushError:
    """Events of one type that are not stored yet, and why. They wait on the disk."""

    type: EventType
    error: Exception
    event_count: int


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What became of everything recorded before the call, whoever wrote it."""

    files_written: int = 0
    events_written: int = 0
    errors: list[FlushError] = field(default_factory=list)


def result_of(segments: Iterable[Segment]) -> FlushResult:
    """Return what has become of the segments, whoever has sent them."""
    late = TimeoutError("not stored in time; it waits in the spool")
    gone = StorageError("dropped, as get_stats() says, and stored nowhere")
    stored: list[int] = []
    errors: dict[str, FlushError] = {}
    for segment in segments:
        state, type = segment.state, segment.type
        if state == "stored":
            stored.append(segment.count)
        else:
            error = segment.error or (gone if state == "dropped" else late)
            before = errors.get(type) or FlushError(type, error, 0)
            errors[type] = replace(before, event_count=before.event_count + segment.count)
    return FlushResult(len(stored), sum(stored), list(errors.values()))


@dataclass(frozen=True, slots=True)
class WriterStats:
    """One moment's counts: for each type, ``recorded = written + buffered + in_flight + dropped``.

    ``buffers_by_type`` are the buffered ones: in files not yet closed. ``in_flight`` are in
    closed files on their way to the store. ``dropped`` gives counts by type and reason.
    ``recovered`` events came from dead processes and ``repaired`` ones had a value that JSON
    lacks or that was too long. A forked child counts from zero.
    """

    total_events_buffered: int
    total_events_written: int
    total_files_written: int
    last_flush_at: datetime | None
    buffers_by_type: dict[EventType, int]
    recorded: dict[EventType, int]
    written: dict[EventType, int]
    in_flight: dict[EventType, int]
    dropped: dict[EventType, dict[str, int]]
    recovered: int
    repaired: int
