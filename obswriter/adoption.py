"""Stores what dead processes left in the spool.

An adopter holds the dead directory's lock, and never changes a segment in place: a process
wrongly taken for dead may have it mapped. It copies the whole lines to the store, then unlinks.
"""

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .events import trace_of
from .file_naming import OPEN_SUFFIX, ParsedPath, generate_file_path, parse_file_path
from .marks import read_marks
from .redaction import redact_url
from .segment import read_plain
from .serializer import encode, parse_jsonl, whole_lines
from .spool_directory import MARKS, OWNER, boot_id, remove_if_empty, try_lock
from .storage import FileStorage, open_storage, replace_file

STALE_SECONDS = 600
"""Age of the heartbeat at which a directory of another boot or host counts as dead."""

QUARANTINE = "quarantine"
WHERE = "OBSWRITER_FILE_STORAGE"


@dataclass
class Recovery:
    """What one adoption did. ``holes`` counts lines that were begun and never finished."""

    directories: int = 0
    files: int = 0
    events: int = 0
    holes: int = 0
    quarantined: int = 0
    errors: list[str] = field(default_factory=list)
    unfinished: int = 0  # directories for which the time was too short


def adopt(
    family: str,
    storage: FileStorage,
    base_path: str,
    others: Iterable[str] = (),
    seconds: float = math.inf,
) -> Recovery:
    """Store every dead process's segments of one destination, and those in *others*' directories.

    Errors are reported, not raised. What is left when *seconds* are over, waits.
    """
    recovery, end = Recovery(), time.monotonic() + seconds
    for path in (*spool_directories(family), *others):
        with try_lock(path) as ours:
            if ours and not recovery.unfinished and _is_dead(path):
                adopter = _Adopter(path, storage, base_path, recovery, end)
                adopter.attempt("all", adopter.adopt)
    return recovery


def spool_directories(family: str) -> list[str]:
    """Return the processes' directories in one destination's folder."""
    entries: list[os.DirEntry[str]] = []
    with suppress(OSError):
        entries = sorted(os.scandir(family), key=lambda entry: entry.name)
    return [e.path for e in entries if e.is_dir(follow_symlinks=False) and e.name != QUARANTINE]


def _is_dead(path: str) -> bool:
    """The lock says so within one boot; for other boots and hosts the heartbeat does."""
    try:
        owner = json.loads(read_plain(f"{path}/{OWNER}"))
        if owner["boot"] and owner["boot"] == boot_id():
            return True
        beat = os.lstat(f"{path}/{OWNER}").st_mtime
    except Exception:  # whatever the file says instead
        beat = os.stat(path).st_mtime
    return time.time() - beat > STALE_SECONDS


def segment_files(directory: str) -> Iterator[tuple[str, ParsedPath | None]]:
    """Yield each file of a process's directory with what its path says; ``None`` for garbage."""
    for folder, folders, names in os.walk(directory):
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]
        for name in sorted(names + links):
            path = f"{folder}/{name}"
            if path not in (f"{directory}/{OWNER}", f"{directory}/{MARKS}"):
                relative = os.path.relpath(path, directory).removesuffix(OPEN_SUFFIX)
                parsed = parse_file_path(relative)
                known = parsed is not None and not parsed.base_path and not parsed.processed
                known = known and os.path.isfile(path) and not os.path.islink(path)
                yield path, parsed if known else None


@dataclass
class _Adopter:
    """Stores what one dead process left in its directory; errors are reported, not raised."""

    path: str
    storage: FileStorage
    base_path: str
    report: Recovery
    end: float
    refused: set[str] = field(default_factory=set)  # what follows one that waits, waits

    def adopt(self) -> None:
        self.attempt("", self._write_down_marks)
        for file, parsed in list(segment_files(self.path)):
            if parsed is None:
                self.attempt(file, self._quarantine, file)
            else:
                self.attempt(parsed.type, self._adopt_file, file, parsed)
            if time.monotonic() > self.end:  # after one at least
                self.report.unfinished += 1
                return
        if not self.refused:
            self.attempt("", self._clear_away)

    def attempt(self, what: str, step: Callable[..., None], *arguments: object) -> None:
        try:
            if what not in self.refused:
                step(*arguments)
        except Exception as error:
            self.refused.add(what)
            told = redact_url(f"{type(error).__name__}: {error}")
            self.report.errors.append(f"{self.path}: {told}")

    def _adopt_file(self, file: str, parsed: ParsedPath) -> None:
        data = read_plain(file)
        lines, holes = whole_lines(data)
        if lines:
            target = replace(parsed, base_path=self.base_path).pending_path
            publish(self.storage, target, lines)
            self.report.files += 1
            self.report.events += lines.count(b"\n")
        elif not b'{"type":'.startswith(data.strip(b"\0")[:8]):  # not even a line's beginning
            self._quarantine(file)
            return
        self.report.holes += holes
        os.unlink(file)

    def _write_down_marks(self) -> None:
        """Make segments of what was going on, by the same names however often this is done."""
        if marks := list(read_marks(f"{self.path}/{MARKS}")):
            began = datetime.fromisoformat(min(mark["startTime"] for mark in marks))
            id = os.path.basename(self.path)[:7]
            name = f"{began.year:04}{began:%m%dT%H%M%SZ}_{began.microsecond:05x}{id}.jsonl"
            lines: dict[str, bytes] = {}
            for event in _events_of_death(marks, _last_append(self.path)):
                segment = generate_file_path(event["type"], event["projectId"], "", name)
                lines[segment] = lines.get(segment, b"") + encode(event)[0]
            for segment, data in lines.items():
                Path(self.path, segment).parent.mkdir(parents=True, exist_ok=True)
                replace_file(f"{self.path}/{segment}", data)
        Path(self.path, MARKS).unlink(missing_ok=True)

    def _quarantine(self, file: str) -> None:
        directory = Path(self.path)
        folder = directory.parent / QUARANTINE
        folder.mkdir(mode=0o700, exist_ok=True)
        end = os.fsdecode(os.fsencode(Path(file).name)[-100:])
        os.rename(file, folder / f"{directory.name}-{os.urandom(4).hex()}-{end}")
        self.report.quarantined += 1

    def _clear_away(self) -> None:
        self.report.directories += remove_if_empty(self.path)


def _events_of_death(marks: Iterable[dict[str, Any]], last: str) -> Iterator[dict[str, Any]]:
    """Yield a span for each local root that was going on, as its end would have, and the traces."""
    traces: dict[str, dict[str, Any]] = {}  # one each: recorded at once, two would be the same
    for mark in marks:
        end = max(mark["startTime"], last)
        attributes = {**mark.get("attributes", {}), "obswriter.outcome": "process_died"}
        span = {**mark, "endTime": end, "status": "error", "attributes": attributes}
        span["recordedAt"] = end
        traces.setdefault(span["traceId"], trace_of(span))
        yield span
    yield from traces.values()


def _last_append(path: str) -> str:
    """When the last event of a dead process's segments was recorded."""
    found = [""]
    for file, parsed in segment_files(path):
        if parsed is not None:
            *_, last, _ = (b"\n" + whole_lines(read_plain(file))[0]).rsplit(b"\n", 2)
            found += [str(event.get("recordedAt", "")) for event in parse_jsonl(last)]
    return max(found)


def publish(storage: FileStorage, path: str, data: bytes) -> None:
    """Store *data* at *path* unless it is there already; a different file there is not replaced."""
    parsed = parse_file_path(path)
    assert parsed is not None
    if storage.exists(parsed.processed_path):
        return
    if storage.exists(path):
        if storage.read(path) == data:
            return
        # A name that whoever does this once more finds again.
        own = f"{parsed.file_name[:22]}{hashlib.sha256(data).hexdigest()[:7]}.jsonl"
        path = replace(parsed, file_name=own).pending_path
    storage.write(path, data)


def adopt_in_child(family: str, where: str, base_path: str, timeout: float) -> None:
    """Adopt in a process of its own, which goes on by itself when *timeout* is over."""
    if not os.path.basename(sys.executable).startswith("python"):
        return  # embedded, as in uWSGI: the next start adopts
    from subprocess import DEVNULL, Popen, TimeoutExpired

    # Modules come from where ours do, never from the working directory, which may be anybody's;
    # and a command line, where everybody may read it, is no place for a URL with a password.
    command = [sys.executable, "-P", "-m", "obswriter.adoption", family, base_path]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), WHERE: where}
    child = Popen(  # noqa: S603 (our own module, no shell)
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environ, start_new_session=True
    )
    try:
        child.wait(timeout)
    except TimeoutExpired:
        child.returncode = 0  # nobody waits for it any more


if __name__ == "__main__":
    adopt(sys.argv[1], open_storage(os.environ[WHERE]), sys.argv[2])
