"""Names and paths of stored files; the only place that knows how they are built and read.

{base_path}/{type}/{project_id}/{YYYYMMDDTHHMMSSZ}_{12 hex digits}.jsonl, and the same name
below ``processed/`` after ingestion.
"""

import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .timestamps import iso_from_ns
from .vocabulary import EVENT_TYPES, EventType, check_project_id, check_word

BASE_PATH = "observability"
OPEN_SUFFIX = ".open"

_NAME = r"(([0-9]{8}T[0-9]{6}Z)_([0-9a-f]{5})[0-9a-f]{7}\.jsonl)"
_is_name = re.compile(_NAME).fullmatch
_parse = re.compile(
    rf"(?:(.*)/)?({'|'.join(EVENT_TYPES)})/((?!processed/)[A-Za-z0-9_-]{{1,128}})/"
    rf"(processed/)?{_NAME}",
    re.DOTALL,
).fullmatch

_last_stamp = 0


@dataclass(frozen=True, slots=True)
class ParsedPath:
    """What a stored file's path says. ``created_at`` is when the file was begun."""

    base_path: str
    type: EventType
    project_id: str
    file_name: str
    created_at: datetime
    processed: bool

    @property
    def pending_path(self) -> str:
        """The path before ingestion."""
        return _join(self.base_path, self.type, self.project_id, self.file_name)

    @property
    def processed_path(self) -> str:
        """The path after ingestion."""
        return _join(self.base_path, self.type, self.project_id, "processed", self.file_name)


def _join(base_path: str, *rest: str) -> str:
    return "/".join((base_path, *rest) if base_path else rest)


def generate_file_name() -> str:
    """Make a new name; within a process, names sort in the order they were made."""
    global _last_stamp
    stamp = time.time_ns() // 1000
    # No call between reading and storing: nothing else of this process can run in between.
    if stamp <= _last_stamp:
        stamp = _last_stamp + 1
    _last_stamp = stamp
    moment = iso_from_ns(stamp * 1000)[:19].replace("-", "").replace(":", "")
    return f"{moment}Z_{stamp % 1_000_000:05x}{os.urandom(4).hex()[:7]}.jsonl"


def is_inside(path: str) -> bool:
    """Whether a path stays inside the store: relative, of named folders and files."""
    return not re.search(r"[\\\0]|(^|/)\.{0,2}(/|\Z)", path)


def check_base_path(base_path: object) -> str:
    """Return *base_path* without slashes at its end; ``ValueError`` if it leaves the store."""
    if isinstance(base_path, str):
        base = base_path.removesuffix("/")
        if base_path == "" or is_inside(base):
            return base
    wanted = "a relative path of named folders such as 'observability' or 'team/prod'"
    raise ValueError(f"base_path must be {wanted}; got {base_path!r}")


def generate_directory_path(type: EventType, project_id: str, base_path: str = BASE_PATH) -> str:
    """Return the folder of pending files; ``ValueError`` for an unknown type or a bad project."""
    known = check_word("type", type, EVENT_TYPES)
    return _join(check_base_path(base_path), known, check_project_id(project_id))


def generate_file_path(
    type: EventType, project_id: str, base_path: str = BASE_PATH, file_name: str | None = None
) -> str:
    """Return the path of a pending file, under a new name unless *file_name* is given."""
    name = generate_file_name() if file_name is None else file_name
    if not _is_name(name):
        raise ValueError(f"file_name must be one that generate_file_path() made; got {name!r}")
    return f"{generate_directory_path(type, project_id, base_path)}/{name}"


def parse_file_path(path: str) -> ParsedPath | None:
    """Take a pending or processed path apart; ``None`` if it is neither."""
    if (match := _parse(path)) is None:
        return None
    parts: tuple[Any, ...] = match.groups(default="")
    base_path, type, project_id, processed, file_name, stamp, micros = parts
    try:
        created_at = datetime.fromisoformat(stamp).replace(microsecond=int(micros, 16))
    except ValueError:
        return None
    return ParsedPath(base_path, type, project_id, file_name, created_at, processed != "")


def is_pending_file(path: str) -> bool:
    """Whether *path* is a stored file that has not been ingested."""
    return (parsed := parse_file_path(path)) is not None and not parsed.processed


def get_processed_file_path(path: str) -> str:
    """Return where a stored file goes after ingestion; ``ValueError`` for any other path."""
    if (parsed := parse_file_path(path)) is None:
        raise ValueError(f"not the path of a stored file: {path!r}")
    return parsed.processed_path
