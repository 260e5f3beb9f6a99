"""One append-only file of lines, mapped shared: a line is safe from the death of the process
the moment it is copied, without a system call. In memory where files cannot be mapped.

Appending is a few statements under the batcher's lock (``EventBatcher.add``): reserve the
range, copy, count. A signal handler or finaliser that records in between finds the range taken.
"""

import errno
import mmap
import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from .file_naming import OPEN_SUFFIX, generate_file_name
from .vocabulary import EventType

STEP: Final = 512 * 1024
"""Bytes preallocated at a time, so that a full disk is an error here and no SIGBUS later."""

_ZEROS: Final = bytes(STEP)

State = Literal["open", "closed", "busy", "sealed", "stored", "dropped"]
"""Open for lines; closed to them; busy while one thread seals or sends it; sealed; gone."""


@dataclass(slots=True, eq=False)
class Segment:
    """Lines in memory, which do not outlive the process: a window, and how far it is used.

    ``position`` and ``room`` count from the start of the window, which lies at ``base``.
    ``file_name`` is the stored file's, chosen when the file is begun. ``torn`` says that an
    append was begun and not finished, which leaves a hole. ``notes`` counts what its lines say
    was dropped, by type and reason.
    """

    type: EventType
    project_id: str
    max_size: int
    file_name: str = field(default_factory=generate_file_name)
    window: mmap.mmap | bytearray = field(default_factory=bytearray)
    base: int = 0
    position: int = 0
    room: int = -1
    count: int = 0
    torn: bool = False
    notes: Counter[tuple[EventType, str]] = field(default_factory=Counter)
    state: State = "open"
    error: Exception | None = None

    @property
    def size(self) -> int:
        """Bytes used."""
        return self.base + self.position

    def advance(self, size: int) -> None:
        """Open a window with room for *size* more bytes; ``OSError`` where the disk has none."""
        while True:
            used = self.base + self.position
            start, window = self._open_window(used, size)
            room = min(len(window), max(self.max_size, used + size) - start)
            # No call from here on: had somebody appended on this very thread while the window
            # was being opened, `used` would be old, and the window is opened again.
            if self.base + self.position == used:
                self.window, self.base, self.position, self.room = window, start, used - start, room
                return

    def _open_window(self, used: int, size: int) -> tuple[int, mmap.mmap | bytearray]:
        # The first is small: an idle type should not hold half a megabyte.
        more = max(size, min(used, self.max_size - used), STEP // 8)
        return 0, bytearray(self.window[:used]) + bytearray(more)

    def read(self) -> bytes:
        """Return the bytes used."""
        return bytes(self.window[: self.position])

    def keep_name(self) -> None:
        """Be stored under the name that an adopter would store it under."""

    def close(self) -> None:
        """Let go of the memory and the descriptor; what is on the disk stays there."""
        self.room = -1
        self.window = bytearray()

    def discard(self) -> None:
        """Close, and remove what is on the disk."""
        self.close()


class MappedSegment(Segment):
    """A segment in a file of the spool, which bears ``path`` until it is stored.

    The window lies on the file's end, and moves along.
    """

    __slots__ = ("fd", "path", "status")

    def __init__(self, type: EventType, project_id: str, max_size: int, folder: str) -> None:
        super().__init__(type, project_id, max_size)
        self.path = f"{folder}/{self.file_name}{OPEN_SUFFIX}"
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.status = os.fstat(self.fd)
        try:
            self.advance(1)
            # Pages that exist are touched at a tenth of the cost of preallocated blocks. Only here,
            # where nobody else knows of the file: zeros could overwrite what an interruption wrote.
            os.pwrite(self.fd, _ZEROS, 0)
        except BaseException:
            self.discard()
            raise

    def _open_window(self, used: int, size: int) -> tuple[int, mmap.mmap]:
        start = used - used % mmap.ALLOCATIONGRANULARITY
        length = -(-(used - start + size) // STEP) * STEP
        allocate(self.fd, start, length)
        return start, mmap.mmap(self.fd, length, offset=start)

    def read(self) -> bytes:
        if self.base == 0 and self.window:
            return super().read()  # works even where the disk doesn't any more
        closed = self.fd < 0
        with open(self.path if closed else self.fd, "rb", closefd=closed) as file:
            file.seek(0)
            return file.read(self.size)

    def is_in_place(self) -> bool:
        """Whether ``path`` still names this file: somebody may have deleted it under us."""
        with suppress(OSError):
            return os.path.samestat(os.lstat(self.path), os.fstat(self.fd))
        return False

    def keep_name(self) -> None:
        self.file_name = os.path.basename(self.path).removesuffix(OPEN_SUFFIX)

    def is_gone(self) -> bool:
        """Whether a sealed segment's file is not where it was."""
        try:
            os.lstat(self.path)
        except OSError as error:  # or it may not be looked at
            return self.fd < 0 and isinstance(error, FileNotFoundError)
        return False

    def close(self, *, emptied: bool = False) -> None:
        super().close()
        # Forgotten before it is closed: a child forked in between must not close it again.
        fd, self.fd = self.fd, -1
        with suppress(OSError):
            # A daemon may have closed it, and another file may have its number now.
            if os.path.samestat(os.fstat(fd), self.status):
                if emptied:
                    os.ftruncate(fd, 0)
                os.close(fd)

    def discard(self) -> None:
        """Close and remove the file, if that can be done."""
        self.close()
        with suppress(OSError):
            os.unlink(self.path)


def read_plain(path: str | Path) -> bytes:
    """Read a file of a spool, where no link, pipe or device may stand; of huge holes, one NUL."""
    parts: list[bytes] = []
    with open(os.open(path, os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        while part := file.read(STEP):
            if hole := _ZEROS.startswith(part):
                try:
                    file.seek(file.tell(), os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # there is nothing more in it
                        break
            parts.append(b"\0" if hole else part)
    return b"".join(parts)


def allocate(fd: int, start: int, length: int) -> None:
    """Take disk space for a part of a file; ``OSError`` where there is none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, start, length)
        return
    size = os.fstat(fd).st_size  # macOS: zeros, and only where there is nothing yet
    missing = start + length - size
    if missing > 0 and os.pwrite(fd, bytes(missing), size) != missing:
        raise OSError(28, "No space left on device")
