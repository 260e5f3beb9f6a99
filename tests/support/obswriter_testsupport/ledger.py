"""Compares what processes acknowledged with what is stored, can be recovered, or was dropped."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from obswriter import LocalStorage, parse_file_path, parse_jsonl
from obswriter.serializer import whole_lines
from obswriter.spool_directory import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.file_naming import ParsedPath
    from obswriter_testsupport.driving import Driven

DROPPED = "obswriter.events.dropped"

Identity = tuple[str, str, str]


class Ledger:
    """The books of one store: ``files`` holds what is stored, ``spool`` the users' folders."""

    def __init__(self, files: LocalStorage, spool: Path) -> None:
        self.files = files
        self.spool = spool
        self.processes: list[Driven] = []

    def acknowledged(self) -> set[str]:
        return {id for process in self.processes for id in process.acknowledged}

    def dropped(self) -> int:
        """Count what was acknowledged and dropped, as the processes say."""
        return sum(process.dropped["log"] + process.dropped["score"] for process in self.processes)

    def spooled(self) -> Iterator[dict[str, Any]]:
        """Yield each event that can be recovered."""
        for file in self.spool.glob("*/*/*/*/*/*.jsonl*"):
            with suppress(FileNotFoundError):
                yield from parse_jsonl(whole_lines(file.read_bytes())[0])

    def stored(self) -> list[dict[str, Any]]:
        """Return each stored event; a file that was ingested counts once."""
        contents: dict[str, bytes] = {}
        for parsed in self._paths():
            path = parsed.processed_path if parsed.processed else parsed.pending_path
            with suppress(FileNotFoundError):
                data = self.files.read(path)
                assert contents.setdefault(parsed.pending_path, data) == data
        return [event for data in contents.values() for event in parse_jsonl(data)]

    def _paths(self) -> list[ParsedPath]:
        paths = (parse_file_path(info.path) for info in self.files.list())
        return [parsed for parsed in paths if parsed is not None]

    def ingest(self, share: int) -> None:
        """Do with some of the files what ingestion does."""
        for parsed in [parsed for parsed in self._paths() if not parsed.processed][::share]:
            with suppress(FileNotFoundError):
                self.files.move(parsed.pending_path, parsed.processed_path)

    def missing(self) -> set[str]:
        """Return what is neither stored nor to be recovered."""
        spooled = {event["id"] for event in self.spooled()}  # first: it moves into the store
        return self.acknowledged() - spooled - {event["id"] for event in self.stored()}

    def twice(self) -> dict[Identity, int]:
        counts = Counter((e["type"], e["id"], e["recordedAt"]) for e in self.stored())
        return {event: count for event, count in counts.items() if count > 1}

    def assert_settled(self) -> None:
        """When everybody is dead and recovered from: acknowledged is stored, or was dropped."""
        left = list(self.spool.glob(f"*/*/*/{OWNER}"))
        assert left == [], f"still there: {left}"
        assert self.twice() == {}, f"twice: {self.twice()}"
        events = self.stored()
        stored = {event["id"] for event in events if event.get("name") != DROPPED}
        lost, unasked = self.acknowledged() - stored, stored - self.acknowledged()
        assert len(lost) == self.dropped(), f"{self.dropped()} were dropped; not stored: {lost}"
        # Each process's last event may be stored and not acknowledged.
        assert len(unasked) <= len(self.processes), f"never acknowledged: {unasked}"
        reported = sum(event["value"] for event in events if event.get("name") == DROPPED)
        dropped = sum(sum(process.dropped.values()) for process in self.processes)
        assert reported <= dropped, f"{reported} reported, {dropped} dropped"
