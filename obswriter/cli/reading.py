"""Reads events back: from stored files, and from those that processes are still writing."""

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from obswriter.adoption import segment_files, spool_directories
from obswriter.file_naming import ParsedPath, generate_directory_path, parse_file_path
from obswriter.serializer import parse_jsonl
from obswriter.storage import FileInfo
from obswriter.vocabulary import EVENT_TYPES, EventType

from .formatting import format_count
from .place import Place
from .screen import note

Event: TypeAlias = dict[str, Any]

CHUNK = 64 * 1024


@dataclass(frozen=True)
class StoredFile:
    """A file in the store, with what its path says."""

    info: FileInfo
    parsed: ParsedPath

    @property
    def begun_at(self) -> datetime:
        """When the file was begun, as its name says."""
        return self.parsed.created_at


def identity(event: Event) -> tuple[str, str, str]:
    """Return what tells an event from all others, wherever it was read."""
    return str(event.get("type")), str(event.get("id")), str(event.get("recordedAt"))


def recorded_at(event: Event) -> str:
    """Return the key by which events sort in the order they were recorded."""
    return str(event.get("recordedAt", ""))


class Reader:
    """Reads what is stored in one place. ``damaged`` counts the lines it had to skip."""

    def __init__(self, place: Place, types: Collection[EventType] | None = None) -> None:
        self.place = place
        self.types = tuple(type for type in EVENT_TYPES if not types or type in types)
        self.damaged = 0
        self.refused: list[str] = []  # what this user may not read

    def files(self) -> list[StoredFile]:
        """Return the files, oldest first."""
        found = [file for type in self.types for file in self._files_of(type)]
        return sorted(found, key=lambda file: (file.parsed.file_name, file.info.path))

    def _files_of(self, type: EventType) -> Iterator[StoredFile]:
        base, project = self.place.base_path, self.place.project
        folder = generate_directory_path(type, project or "any", base)
        if project is None:
            folder = folder.rpartition("/")[0]
        for info in self.place.storage.list(folder):
            parsed = parse_file_path(info.path)
            if parsed is not None and parsed.base_path == base:
                yield StoredFile(info, parsed)

    def events(self, files: Iterable[StoredFile], containing: bytes = b"") -> Iterator[Event]:
        """Yield the events of *files*; with *containing*, of the lines that hold these bytes."""
        for file in files:
            data = self._read(file)
            if containing:
                data = b"\n".join(line for line in data.split(b"\n") if containing in line)
            yield from parse_jsonl(data, self._count_damaged)

    def _read(self, file: StoredFile) -> bytes:
        paths = (file.info.path, file.parsed.processed_path)
        for path in paths:  # it may be ingested, or deleted, at any moment
            try:
                return self.place.storage.read(path)
            except FileNotFoundError:
                continue
            except PermissionError as error:
                self.refused.append(f"{error}")
                break
        return b""

    def _count_damaged(self, number: int, line: bytes) -> None:
        self.damaged += 1

    def note_damaged(self) -> bool:
        """Say what was skipped, if anything; whether all files could be read."""
        if self.damaged:
            note(f"{format_count(self.damaged, 'damaged line')} skipped")
        if self.refused:
            note(f"{format_count(len(self.refused), 'file')} skipped: {self.refused[0]}")
        return not self.refused


class SpoolReader:
    """Reads what is on its way to a place, from this disk: each line once."""

    def __init__(self, place: Place, types: Collection[EventType]) -> None:
        self.place = place
        self.types = types
        self._positions: dict[str, int] = {}

    def new_events(self) -> Iterator[Event]:
        """Yield what has been appended since the last call."""
        positions = self._positions
        self._positions = {}
        for path in self._files():
            lines = _whole_lines(path, positions.get(path, 0))
            self._positions[path] = positions.get(path, 0) + len(lines)
            yield from parse_jsonl(lines, lambda number, line: None)

    def _files(self) -> Iterator[str]:
        for family in self.place.own_spools():
            for directory in spool_directories(family):
                for path, parsed in segment_files(directory):
                    if parsed is not None and self._wants(parsed):
                        yield path

    def _wants(self, parsed: ParsedPath) -> bool:
        return parsed.type in self.types and self.place.project in (None, parsed.project_id)


def _whole_lines(path: str, position: int) -> bytes:
    """Read on, up to the last line's end before the first NUL: from there on nothing is written."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    parts: list[bytes] = []
    try:
        with open(os.open(path, flags), "rb", buffering=0) as file:
            file.seek(position)
            while chunk := file.read(CHUNK):
                used, nul, _ = chunk.partition(b"\0")
                parts.append(used)
                if nul:
                    break
    except OSError:  # stored meanwhile
        return b""
    data = b"".join(parts)
    return data[: data.rfind(b"\n") + 1]
