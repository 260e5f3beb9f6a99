"""For tests of applications: what did the code under test record?

with obswriter.testing.capture() as captured:
    my_code()
assert captured.one("span", name="checkout")["status"] == "ok"
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import process
from .serializer import parse_jsonl
from .vocabulary import EventType
from .writer import ObservabilityWriter


class Captured:
    """The events recorded since the capture began, as they are on the wire."""

    def __init__(self, writer: ObservabilityWriter, root: Path) -> None:
        self.writer = writer
        self.root = root

    def events(self, type: EventType | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Return the events of a type whose wire fields have these values, in recorded order."""
        if not self.writer.is_shutdown:
            self.writer.flush()
        top = self.root / self.writer.config.base_path
        files = sorted(top.glob(f"{type or '*'}/*/*.jsonl"), key=lambda path: path.name)
        found = [event for path in files for event in parse_jsonl(path.read_bytes())]
        matching = [e for e in found if all(e.get(key) == fields[key] for key in fields)]
        return sorted(matching, key=lambda event: str(event["recordedAt"]))

    def one(self, type: EventType, **fields: Any) -> dict[str, Any]:
        """Return the only such event; ``AssertionError`` lists what there is instead."""
        found = self.events(type, **fields)
        if len(found) != 1:
            there = [{"name": e.get("name"), **e} for e in self.events(type)]
            raise AssertionError(f"{len(found)} {type} events with {fields}; recorded: {there}")
        return found[0]


@contextmanager
def capture(**options: Any) -> Iterator[Captured]:
    """Have the process-wide writer record into a temporary directory for a while."""
    with tempfile.TemporaryDirectory(prefix="obswriter-") as folder:
        options = {"project_id": "test", "flush_interval_ms": 0, **options}
        writer = ObservabilityWriter(file_storage=folder, **options)
        before = process.exchange(writer)
        try:
            yield Captured(writer, Path(folder))
        finally:
            process.exchange(before)
            writer.shutdown()
