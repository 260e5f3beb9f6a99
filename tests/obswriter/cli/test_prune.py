"""``prune`` deletes what is old enough, and nothing that is not asked for."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import obswriter
from obswriter.testing import Captured


def stamp(**ago: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**ago):%Y%m%dT%H%M%SZ}"


def files(root: Path) -> set[Path]:
    return set(root.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("age", "older", "younger"),
    [
        ("90s", {"seconds": 150}, {"seconds": 30}),
        ("15m", {"minutes": 16}, {"minutes": 14}),
        ("12h", {"hours": 13}, {"hours": 11}),
        ("7d", {"days": 7, "minutes": 1}, {"days": 6, "hours": 23, "minutes": 59}),
        ("2w", {"days": 15}, {"days": 13}),
        ("1.5d", {"hours": 37}, {"hours": 35}),
    ],
)
def test_only_files_begun_before_that_time_go(
    cli, tmp_path, write_file, age, older, younger
) -> None:
    write_file(tmp_path, stamp(**older), processed=True)
    kept = write_file(tmp_path, stamp(**younger), processed=True)
    assert cli("prune", "--older-than", age, "--storage", tmp_path).status == 0
    assert files(tmp_path) == {kept}


def test_the_name_decides_and_not_when_the_file_was_changed(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, stamp(days=8), processed=True)  # written just now
    cli("prune", "--older-than", "7d", "--storage", tmp_path)
    assert files(tmp_path) == set()


def test_pending_files_are_not_deleted_without_a_word(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, stamp(days=8))
    write_file(tmp_path, stamp(days=9), processed=True)
    before = files(tmp_path)
    result = cli("prune", "--older-than", "7d", "--storage", tmp_path)
    assert result.status == 2
    assert "1 file (" in result.err
    assert "--yes" in result.err
    assert files(tmp_path) == before


def test_yes_deletes_pending_files(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, stamp(days=8))
    assert cli("prune", "--older-than", "7d", "--yes", "--storage", tmp_path).status == 0
    assert files(tmp_path) == set()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("yes", 0), ("n", 1), ("", 1)])
def test_the_answer_decides_about_pending_files(
    cli, tmp_path, write_file, monkeypatch, answer, left
) -> None:
    write_file(tmp_path, stamp(days=8))
    write_file(tmp_path, stamp(days=9), processed=True)
    monkeypatch.setattr("sys.stdin", Terminal(answer + "\n"))
    result = cli("prune", "--older-than", "7d", "--storage", tmp_path)
    assert "[y/N]" in result.err
    assert len(files(tmp_path)) == left


def test_processed_only_leaves_pending_files(cli, tmp_path, write_file) -> None:
    kept = write_file(tmp_path, stamp(days=8))
    write_file(tmp_path, stamp(days=9), processed=True)
    where = ("--storage", tmp_path)
    result = cli("prune", "--older-than", "7d", "--processed-only", *where)
    assert result.status == 0
    assert files(tmp_path) == {kept}


def test_a_dry_run_deletes_nothing_and_names_all(cli, tmp_path, write_file) -> None:
    old = write_file(tmp_path, stamp(days=8))
    result = cli("prune", "--older-than", "7d", "--dry-run", "--storage", tmp_path)
    assert old.relative_to(tmp_path).as_posix() in result.lines
    assert "would delete 1 file" in result.out
    assert files(tmp_path) == {old}


def test_json_names_each_file(cli, tmp_path, write_file) -> None:
    old = write_file(tmp_path, stamp(days=8), processed=True)
    size = old.stat().st_size
    [entry] = cli("prune", "--older-than", "7d", "--json", "--storage", tmp_path).json
    path = old.relative_to(tmp_path).as_posix()
    assert entry == {"path": path, "bytes": size, "processed": True, "deleted": True}


def test_type_and_project_narrow_what_goes(cli, tmp_path, write_file) -> None:
    write_file(tmp_path, stamp(days=8), type="span", projectId="a")
    kept = {
        write_file(tmp_path, stamp(days=8), type="log", projectId="a"),
        write_file(tmp_path, stamp(days=8), type="span", projectId="b"),
    }
    narrow = ("--type", "span", "--project", "a", "--yes")
    cli("prune", "--older-than", "7d", *narrow, "--storage", tmp_path)
    assert files(tmp_path) == kept


def test_the_spool_and_foreign_files_stay(cli, captured: Captured) -> None:
    obswriter.log("info", "open")
    foreign = captured.root / "observability/log/test/20200101.jsonl"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("")
    spooled = set(captured.root.glob("observability/.spool/*/*/*/log/test/*.open"))
    cli("prune", "--older-than", "0s", "--yes", "--storage", captured.root)
    assert spooled <= set(captured.root.glob("observability/.spool/*/*/*/log/test/*.open"))
    assert foreign.exists()
    assert captured.one("log")["message"] == "open"


def test_a_file_that_cannot_be_deleted_is_named_and_the_others_go(
    cli, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        obswriter.log("info", "m")
        captured.writer.flush()
    kept, _ = sorted(files(captured.root))
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == kept:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    result = cli("prune", "--older-than", "0s", "--yes", "--storage", captured.root)
    assert result.status == 1
    assert f"not deleted: [Errno 13] Permission denied: '{kept}'" in result.err
    assert "deleted 1 file " in result.out
    assert files(captured.root) == {kept}
