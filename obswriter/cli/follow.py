"""The last events of a place and, from then on, each new one once."""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import timedelta
from itertools import count

from obswriter.timestamps import iso_from_datetime
from obswriter.vocabulary import EventType

from .place import Place
from .reading import Event, Reader, SpoolReader, StoredFile, identity, recorded_at
from .screen import note

MEMORY = 200_000
"""Events remembered as shown. An open file's events must still be in it when it is stored."""

SLACK = timedelta(seconds=1)
"""A file's time of change may lag behind the clock its events' times were read from."""

SPOOL_PAUSE = 0.25
STORE_PAUSE = 2.0
"""Seconds between two looks at the spool, and at a store that is not a local directory."""


class Follower:
    """Finds events that *wanted* accepts, in stored files and in those being written."""

    def __init__(
        self,
        place: Place,
        types: Collection[EventType] | None,
        wanted: Callable[[Event], bool] = lambda event: True,
    ) -> None:
        self.reader = Reader(place, types)
        self.pause = SPOOL_PAUSE
        self._spool = SpoolReader(place, self.reader.types)
        self._wanted = wanted
        self._seen = Seen()
        self._known: set[str] = set()
        self._next_listing = 0.0
        self._failed = False

    def last_events(self, number: int) -> list[Event]:
        """Return the *number* events recorded last, oldest first; what is older is not read."""
        latest = Latest(number)
        # The spool first: what is stored between the two looks is then seen twice, not never.
        for event in self._spool.new_events():
            if self._seen.add(event) and self._wanted(event):
                latest.offer(event)
        files = self._list()
        self._known = {file.parsed.pending_path for file in files}
        for file in sorted(files, key=_changed_at, reverse=True):
            if latest.is_newer_than(file):
                break
            for event in self.reader.events([file]):
                if self._wanted(event):
                    latest.offer(event)
        return latest.events()

    def new_events(self) -> list[Event]:
        """Return what was recorded since the last call, oldest first."""
        fresh = list(self._spool.new_events())
        if time.monotonic() >= self._next_listing:
            try:
                fresh += self._newly_stored()
                self._failed = False
            except OSError as error:
                self._note_failure(error)
        return sorted(filter(self._wanted, filter(self._seen.add, fresh)), key=recorded_at)

    def _newly_stored(self) -> list[Event]:
        files = self._list()
        new = [file for file in files if file.parsed.pending_path not in self._known]
        events = list(self.reader.events(new))
        self._known = {file.parsed.pending_path for file in files}
        return events

    def _list(self) -> list[StoredFile]:
        began = time.monotonic()
        files = self.reader.files()
        took = time.monotonic() - began
        least = 0.0 if self.reader.place.is_local else STORE_PAUSE
        self._next_listing = began + took + max(least, 5 * took)
        return files

    def _note_failure(self, error: OSError) -> None:
        self._next_listing = time.monotonic() + STORE_PAUSE
        if not self._failed:
            self._failed = True
            note(f"{self.reader.place} cannot be read and is tried again: {error}")


def _changed_at(file: StoredFile) -> str:
    changed = file.info.last_modified
    return "~" if changed is None else iso_from_datetime(changed)


class Latest:
    """The events recorded last of all that are offered."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._heap: list[tuple[str, int, Event]] = []
        self._identities: set[tuple[str, str, str]] = set()
        self._order = count()

    def offer(self, event: Event) -> None:
        """Keep *event* if it is among the newest, and not there yet."""
        if identity(event) in self._identities:
            return
        self._identities.add(identity(event))
        heapq.heappush(self._heap, (recorded_at(event), next(self._order), event))
        if len(self._heap) > self._number:
            _, _, oldest = heapq.heappop(self._heap)
            self._identities.discard(identity(oldest))

    def is_newer_than(self, file: StoredFile) -> bool:
        """Whether nothing in *file* can be among the newest, as it was last changed before."""
        if self._number == 0:
            return True
        changed = file.info.last_modified
        if changed is None or len(self._heap) < self._number:
            return False
        return iso_from_datetime(changed + SLACK) < self._heap[0][0]

    def events(self) -> list[Event]:
        """Return them, oldest first."""
        return [event for _, _, event in sorted(self._heap, key=lambda entry: entry[:2])]


class Seen:
    """Remembers which events were shown: a file being written is stored under another name."""

    def __init__(self, limit: int = MEMORY) -> None:
        self._limit = limit
        self._identities: OrderedDict[int, None] = OrderedDict()

    def add(self, event: Event) -> bool:
        """Remember *event*; whether it is new."""
        key = hash(identity(event))
        if key in self._identities:
            return False
        self._identities[key] = None
        if len(self._identities) > self._limit:
            self._identities.popitem(last=False)
        return True
