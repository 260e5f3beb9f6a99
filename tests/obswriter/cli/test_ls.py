"""``ls`` counts what is stored."""

from __future__ import annotations

import re

import obswriter
from obswriter.testing import Captured


def test_files_are_summed_up_by_project_and_type(cli, captured: Captured) -> None:
    for _ in range(2):
        with obswriter.trace("t"):
            obswriter.log("info", "m")
        captured.writer.flush()
    captured.writer.record_log({"level": "info", "message": "m", "project_id": "other"})
    captured.writer.flush()
    entries = cli("ls", "--json", "--storage", captured.root).json
    assert [(e["projectId"], e["type"], e["files"]) for e in entries] == [
        ("other", "log", 1),
        ("test", "log", 2),
        ("test", "span", 2),
        ("test", "trace", 2),
    ]
    sizes = [p.stat().st_size for p in captured.root.glob("observability/*/*/*.jsonl")]
    assert sum(entry["bytes"] for entry in entries) == sum(sizes)


def test_pending_and_processed_files_are_told_apart(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, "20260101T000000Z", processed=True)
    write_file(tmp_path, "20260102T000000Z", processed=True)
    write_file(tmp_path, "20260103T000000Z")
    [entry] = cli("ls", "--json", "--storage", tmp_path).json
    assert (entry["files"], entry["pending"], entry["processed"]) == (3, 1, 2)
    assert entry["oldest"].startswith("2026-01-01T00:00:00")
    assert entry["newest"].startswith("2026-01-03T00:00:00")


def test_each_file_is_listed_oldest_first(cli, tmp_path, write_file) -> None:
    late = write_file(tmp_path, "20260105T000000Z", type="span")
    early = write_file(tmp_path, "20260104T000000Z", processed=True)
    entries = cli("ls", "--files", "--json", "--storage", tmp_path).json
    assert [tmp_path / entry["path"] for entry in entries] == [early, late]
    assert [entry["processed"] for entry in entries] == [True, False]


def test_type_and_project_narrow_the_list(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, "20260101T000000Z", type="span", projectId="a")
    write_file(tmp_path, "20260102T000000Z", type="span", projectId="b")
    write_file(tmp_path, "20260103T000000Z", type="log", projectId="b")
    entries = cli("ls", "--json", "--storage", tmp_path, "--type", "span", "--project", "b").json
    assert [(entry["type"], entry["projectId"]) for entry in entries] == [("span", "b")]


def test_the_spool_and_foreign_files_are_not_listed(cli, captured: Captured) -> None:
    obswriter.log("info", "still open")
    stray = captured.root / "observability/log/test/notes.jsonl"
    stray.parent.mkdir(parents=True)
    stray.write_text("not ours")
    result = cli("ls", "--json", "--storage", captured.root)
    assert (result.status, result.out) == (0, "")
    assert "no files" in result.err


def test_the_table_has_a_line_for_each_entry_and_the_total(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, "20260101T000000Z", type="span")
    write_file(tmp_path, "20260102T000000Z", type="log")
    result = cli("ls", "--storage", tmp_path)
    assert len(result.lines) == 4
    assert result.lines[0].split()[:3] == ["PROJECT", "TYPE", "FILES"]
    assert result.lines[-1].startswith("2 files, ")


def test_times_for_scripts_are_the_contracts(cli, captured) -> None:
    obswriter.log("info", "m")
    captured.writer.flush()
    for more in ([], ["--files"]):
        [entry] = cli("ls", "--json", *more, "--storage", captured.root).json
        for name in entry.keys() & {"oldest", "newest", "begunAt"}:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry[name])


def test_what_is_on_its_way_is_not_nothing(cli, captured) -> None:
    obswriter.log("info", "m")
    result = cli("ls", "--storage", captured.root)
    assert "1 process has events on the way: 'obswriter recover'" in result.err
