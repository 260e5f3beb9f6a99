"""A user's own storage, the ones that come along, and the paths of stored files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import assert_type

import obswriter
from obswriter import (
    FileInfo,
    FileStorage,
    FsspecStorage,
    LocalStorage,
    ObservabilityWriter,
    ParsedPath,
)
from obswriter.testing import Captured, capture


class InADictionary:
    """Fits the protocol without knowing of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def read(self, path: str) -> bytes:
        return self.files[path]

    def list(self, prefix: str = "") -> list[FileInfo]:
        return [FileInfo(path, len(data), None) for path, data in self.files.items()]

    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    def move(self, source: str, destination: str) -> None:
        self.files[destination] = self.files.pop(source)

    def exists(self, path: str) -> bool:
        return path in self.files


class HalfAStorage:
    def write(self, path: str, data: bytes) -> None: ...


own: FileStorage = InADictionary()
local: FileStorage = LocalStorage(Path("/tmp/x"))
remote: FileStorage = FsspecStorage.from_url("s3://bucket/prefix", endpoint_url="http://x")
half: FileStorage = HalfAStorage()  # type: ignore[assignment]

ObservabilityWriter(file_storage=own, project_id="p")
obswriter.configure(file_storage=local, project_id="p")


def look(storage: FileStorage) -> None:
    for info in storage.list("observability"):
        assert_type(info.path, str)
        assert_type(info.size, int)
        assert_type(info.last_modified, datetime | None)
    parsed = obswriter.parse_file_path("observability/span/p/x.jsonl")
    assert_type(parsed, ParsedPath | None)
    if parsed is not None and not parsed.processed:
        storage.move(parsed.pending_path, parsed.processed_path)
        assert_type(parsed.created_at, datetime)
    assert_type(obswriter.is_pending_file("x"), bool)
    assert_type(obswriter.get_processed_file_path("x"), str)
    assert_type(obswriter.generate_file_path("span", "p"), str)
    obswriter.generate_file_path("spans", "p")  # type: ignore[arg-type]


def test_what_my_code_records() -> None:
    with capture(project_id="shop") as captured:
        assert_type(captured, Captured)
        assert captured.one("span", name="checkout")["status"] == "ok"
        captured.events("spans")  # type: ignore[arg-type]
