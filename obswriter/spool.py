"""A process's spool: made on first use, shown to be alive, given up at the end; and the spools of
dead processes, which are adopted meanwhile."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from .adoption import adopt, adopt_in_child
from .config import ObservabilityWriterConfig
from .file_naming import OPEN_SUFFIX, generate_file_path, get_processed_file_path
from .interruption import tolerated
from .marks import StartMarks
from .segment import MappedSegment, Segment
from .serializer import whole_lines
from .spool_directory import OWNER, default_home, give_up, make_family, make_owned, unlock
from .storage import FileStorage, fsync_directory, replace_file
from .vocabulary import EventType

ADOPTION_SECONDS = 5.0
HEARTBEAT_SECONDS = 60.0
MOST_SECONDS = 0.5  # of adopting at a time: then it is the turn of our own files


class Spool:
    """This process's directory, if there can be one, held by a lock for as long as it lives.

    ``marks`` are there while it is; ``left`` says that what is in it waits for somebody else.
    """

    marks: StartMarks | None = None

    def __init__(
        self, config: ObservabilityWriterConfig, storage: FileStorage, warn: Callable[..., None]
    ) -> None:
        self.recovered = 0
        self.taken_over: list[str] = []
        self.left = False
        self.path = self.family = ""
        self._lock = -1
        self._config = config
        self._storage = storage
        self._durable = config.durability == "disk"
        self._warn = warn
        self._due_at = 0.0

    def begin(self) -> None:
        """Have a directory, a new one if somebody has deleted it; ``OSError`` where none can be."""
        before, config = self.path, self._config
        if self.marks is not None and os.path.isdir(before):
            return
        home = default_home(self._storage, config.base_path, config.spool_dir)
        family = make_family(home, self._storage, config.base_path)
        path, lock, marks = make_owned(family)
        if self.path == before:
            # Not if we have become another user, and still use that one; or are about to end.
            if self.family == family and self.marks is not None:
                unlock(self._lock)
            self.family, self.path, self._lock, self.marks = family, path, lock, marks
        else:  # somebody who interrupted us has made one
            give_up(path, lock)

    def folder(self, type: EventType, project_id: str) -> str:
        """Return the folder of such segments, made if need be; ``OSError`` where none can be."""
        self.begin()
        folder = f"{self.path}/{type}/{project_id}"
        os.makedirs(folder, exist_ok=True)
        return folder

    def seal(self, segment: MappedSegment) -> None:
        """Cut the file to its lines and give it its final name; it is only read from here on."""
        if not segment.is_in_place() or segment.torn:
            self._write_anew(segment)
        os.utime(segment.fd)  # a broken disk refuses, and we still have the map
        segment.window = bytearray()  # unmapped first: cutting mapped pages interrupts every core
        os.ftruncate(segment.fd, segment.size)
        if self._durable:
            os.fsync(segment.fd)
        sealed = f"{os.path.dirname(segment.path)}/{segment.file_name}"
        os.rename(segment.path, sealed)
        segment.path = sealed
        if self._durable:
            fsync_directory(os.path.dirname(sealed))
        segment.close()

    def _write_anew(self, segment: MappedSegment) -> None:
        lines, _ = whole_lines(segment.read())
        lines = lines.removeprefix(self._already_stored(segment))
        folder = self.folder(segment.type, segment.project_id)
        path = f"{folder}/{os.path.basename(segment.path)}"
        replace_file(path, lines)
        # If we may only not look at it, having become another user, somebody adopts it one day.
        segment.close(emptied=True)
        segment.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        segment.status = os.fstat(segment.fd)
        segment.path, segment.base, segment.position = path, 0, len(lines)
        segment.window = bytearray(lines)

    def _already_stored(self, segment: MappedSegment) -> bytes:
        """What an adopter that took us for dead has stored of a segment, under its name here."""
        name = os.path.basename(segment.path).removesuffix(OPEN_SUFFIX)
        pending = generate_file_path(segment.type, segment.project_id, self._config.base_path, name)
        for path in (pending, get_processed_file_path(pending)):
            with tolerated():
                return self._storage.read(path)
        return b""

    def look_after(self) -> float:
        """Show that we live, adopt from those who don't; seconds until that is due again."""
        if self.marks is None:
            return HEARTBEAT_SECONDS
        config, now = self._config, time.monotonic()
        interval = config.flush_interval_ms / 1000
        if now >= self._due_at:
            with suppress(FileNotFoundError):
                os.utime(f"{self.path}/{OWNER}")
            where = self.family, self._storage, config.base_path, self.taken_over
            found = adopt(*where, MOST_SECONDS)
            self.taken_over[:] = filter(os.path.isdir, self.taken_over)
            self.recovered += found.events
            for error in found.errors:
                self._warn("a dead process's events wait in the spool", error)
            pause = HEARTBEAT_SECONDS if found.errors else max(ADOPTION_SECONDS, interval)
            goes_on = found.unfinished and not found.errors
            self._due_at = now + (0 if goes_on else min(HEARTBEAT_SECONDS, pause))
        return self._due_at - now if interval or self._due_at <= now else HEARTBEAT_SECONDS

    def take_over(self, predecessor: "Spool") -> None:
        """Adopt also what a writer that gave way left in its spool."""
        if predecessor.left:
            self.taken_over.append(predecessor.path)
            self._due_at = 0.0
            with suppress(OSError):
                self.begin()

    def close(self, *, ends: bool = False) -> None:
        """Give the directory up; what is left in it is for whoever comes next.

        A process that *ends* may still store what is in it, and holds the lock as long as it lives.
        """
        if self.marks is not None:
            self.marks = None
            self.left = not give_up(self.path, -1 if ends else self._lock)

    def send_by_child(self, timeout: float) -> None:
        """Have a process of its own store what is left; it goes on when *timeout* is over."""
        where = self._config.file_storage
        if self.left and isinstance(where, str):
            adopt_in_child(self.family, where, self._config.base_path, timeout)


def send(segment: Segment, storage: FileStorage, path: str) -> None:
    """Store a segment at *path*, by renaming it if possible."""
    put_file = getattr(storage, "put_file", None)
    if segment.size:  # else an adopter that took us for dead has stored all of it
        if put_file is not None and isinstance(segment, MappedSegment) and segment.fd < 0:
            put_file(segment.path, path)
        else:
            storage.write(path, segment.read())
