"""The open segment of one type and project: begun when it is needed, and closed."""

import time
from typing import Final

from . import lifecycle
from .carrier import Carrier
from .file_naming import generate_file_name
from .interruption import pass_on_interruption
from .segment import Segment
from .vocabulary import EventType

IDLE_SECONDS: Final = 60.0  # after this long without an event, the spare segment is removed

_NONE: Final = Segment("trace", "none", 0)  # has no room, so that whoever adds asks for some


class Bucket:
    """Where the events of one type and project go. Used in the batcher's lock, but for the spare.

    ``spare`` is the next segment, made ready by the thread, so that recording need not wait.
    """

    __slots__ = ("_carrier", "begun_at", "project_id", "segment", "spare", "type")

    def __init__(self, type: EventType, project_id: str, carrier: Carrier) -> None:
        self.type = type
        self.project_id = project_id
        self.segment = _NONE
        self.begun_at = 0.0
        self.spare: Segment | None = None
        self._carrier = carrier

    @property
    def in_use(self) -> bool:
        """Whether a segment is open."""
        return self.segment is not _NONE

    def make_room(self, size: int) -> None:
        """Have a segment with room for *size* bytes, this one or the next."""
        segment = self.segment
        refused = False
        if segment is not _NONE:
            fits = segment.size + size <= segment.max_size or not segment.count
            if fits and segment.state == "open":
                try:
                    segment.advance(size)
                    return
                except OSError as error:  # the disk is full: the next one may be in memory
                    pass_on_interruption(error)
                refused = not segment.count
            self.close(segment)
        self._begin(in_memory=refused)

    def _begin(self, *, in_memory: bool) -> None:
        if in_memory:
            fresh = self._carrier.new_in_memory(self.type, self.project_id)
        else:
            spare, self.spare = self.spare, None
            fresh = spare or self._carrier.new_segment(self.type, self.project_id)
        fresh.file_name = generate_file_name()
        self.begun_at = time.monotonic()
        if self.segment is _NONE:
            self.segment = fresh
        else:  # somebody who interrupted us has begun one
            fresh.discard()
        lifecycle.renew_signal_handlers()
        self._carrier.wake()

    def close(self, segment: Segment) -> None:
        """Take no more into *segment*, and queue it."""
        # No call until it is in the queue: flush(), which takes no lock, finds it here or there,
        # and who interrupts us puts nothing more into it.
        closed_already = segment.state != "open"
        segment.room = -1
        if segment.count and not closed_already:
            segment.state = "closed"
            self._carrier.queue.append(segment)
        if self.segment is segment:
            self.segment = _NONE
        if not segment.count:
            segment.discard()
        elif not closed_already:
            self._carrier.take(segment)

    def tend_spare(self, in_use: bool) -> None:
        """Make the next segment ready; none for a type that has no events."""
        if in_use and self.spare is None:
            self.spare = self._carrier.new_segment(self.type, self.project_id)
        elif not in_use and time.monotonic() - self.begun_at > IDLE_SECONDS:
            self.discard_spare()

    def discard_spare(self) -> None:
        """Remove the spare: maybe no more events come."""
        with self._carrier.lock:
            spare, self.spare = self.spare, None
        if spare is not None:
            spare.discard()
