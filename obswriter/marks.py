"""Evidence of death: how each local root began, kept in the spool until it ends.

A file of fixed slots, never stored. What is still marked when a dead process's spool is adopted,
was going on when it died.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import orjson

from .segment import allocate, read_plain
from .timestamps import to_iso
from .vocabulary import check_project_id, check_text

SLOT: Final = 1024
"""Bytes of a slot: 1 that says whether it is taken, then a line, whose largest values are cut."""

SLOTS: Final = 256
"""Roots that can be marked at a time; more leave no evidence."""


class StartMarks:
    """The marks of one process."""

    def __init__(self, path: str) -> None:
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            allocate(fd, 0, SLOT * SLOTS)
            self._map = mmap.mmap(fd, SLOT * SLOTS)
        finally:
            os.close(fd)
        self._free = list(range(0, SLOT * SLOTS, SLOT))

    def set(self, line: bytes) -> int:
        """Mark a beginning; returns what to clear at its end, -1 where there is no room."""
        size, map = len(line), self._map
        if size >= SLOT or not self._free:
            return -1
        at = self._free.pop()
        map[at + 1 : at + 1 + size] = line
        map[at] = 1  # last: a slot counts only when it is whole
        return at

    def clear(self, at: int) -> None:
        """Take a mark away."""
        if at >= 0:
            self._map[at] = 0
            self._free.append(at)


def read_marks(path: str) -> Iterator[dict[str, Any]]:
    """Yield the whole and valid marks of a file, if it is one: spans without their ends."""
    if not os.path.isfile(path) or os.path.islink(path):
        return
    data = read_plain(path)
    for at in range(0, len(data), SLOT):
        with suppress(ValueError, TypeError, KeyError):
            mark = orjson.loads(data[at + 1 : at + SLOT].partition(b"\n")[0] if data[at] else b"")
            check_project_id(mark["projectId"])
            for name in ("id", "traceId", "name"):
                check_text(name, mark[name])
            mark["startTime"] = to_iso("startTime", mark["startTime"])
            if mark["type"] == "span" and isinstance(mark.get("attributes", {}), dict):
                yield mark
