"""``recover`` stores what dead processes left, and says what it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import obswriter
from obswriter.testing import Captured

KILLED = """
import os, signal, sys, obswriter
obswriter.configure(file_storage=sys.argv[1], project_id="test", flush_interval_ms=0,
                    **({"spool_dir": sys.argv[2]} if sys.argv[2:] else {}))
for number in range(50):
    obswriter.log("info", f"message {number}")
with obswriter.trace("t"):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_events(storage: object, *spool: object) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(storage), *map(str, spool)])
    assert done.returncode == -signal.SIGKILL


def stored_lines(root: Path) -> int:
    files = root.glob("observability/*/*/*.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


def test_what_a_killed_process_left_is_stored_and_counted(cli, tmp_path) -> None:
    leave_events(tmp_path)
    assert stored_lines(tmp_path) == 0
    [report] = cli("recover", "--json", "--storage", tmp_path).json
    assert report == {
        "processes": 1,
        "files": 3,
        "events": 52,
        "holes": 0,
        "quarantined": 0,
        "errors": [],
        "running": 0,
        "waiting": 0,
        "elsewhere": [],
    }
    assert stored_lines(tmp_path) == 52


def test_recovering_twice_finds_nothing_more(cli, tmp_path) -> None:
    leave_events(tmp_path)
    cli("recover", "--storage", tmp_path)
    result = cli("recover", "--storage", tmp_path)
    assert result.status == 0
    assert "recovered 0 events in 0 files of 0 dead processes" in result.out
    [home] = (tmp_path / "observability" / ".spool").iterdir()
    assert f"looked in {home}\n" in result.out
    assert stored_lines(tmp_path) == 52


def test_a_living_process_keeps_its_files(cli, captured: Captured) -> None:
    obswriter.log("info", "mine")
    [report] = cli("recover", "--json", "--storage", captured.root).json
    assert (report["running"], report["processes"], report["events"]) == (1, 0, 0)
    assert captured.one("log")["message"] == "mine"


def test_a_process_of_another_boot_waits_until_its_heartbeat_is_old(cli, tmp_path) -> None:
    leave_events(tmp_path)
    [owner] = tmp_path.glob("observability/.spool/*/*/*/owner.json")
    owner.write_text('{"boot": "another", "host": "elsewhere", "pid": 1}')
    [report] = cli("recover", "--json", "--storage", tmp_path).json
    assert (report["events"], report["waiting"], report["running"]) == (0, 1, 0)
    assert "only 10 minutes after its death" in cli("recover", "--storage", tmp_path).out
    os.utime(owner, (0, 0))
    [report] = cli("recover", "--json", "--storage", tmp_path).json
    assert (report["events"], report["waiting"]) == (52, 0)


def test_holes_and_garbage_are_counted(cli, tmp_path) -> None:
    leave_events(tmp_path)
    segments = tmp_path.glob("observability/.spool/*/*/*/log/test/*.open")
    [segment] = [path for path in segments if b"message" in path.read_bytes()]
    content = bytearray(segment.read_bytes())
    content[10:20] = bytes(10)
    segment.write_bytes(content)
    (segment.parent / "garbage.txt").write_text("what is this?")
    [report] = cli("recover", "--json", "--storage", tmp_path).json
    assert (report["events"], report["holes"], report["quarantined"]) == (51, 1, 1)


def test_an_error_is_reported_with_status_1(cli, tmp_path) -> None:
    leave_events(tmp_path)
    (tmp_path / "observability/log").parent.mkdir(exist_ok=True)
    (tmp_path / "observability/log").write_text("a file where a directory must be")
    result = cli("recover", "--json", "--storage", tmp_path)
    assert result.status == 1
    assert len(result.json[0]["errors"]) == 1
    assert result.err.count("\n") == 1
    (tmp_path / "observability/log").unlink()
    assert cli("recover", "--storage", tmp_path).status == 0
    assert stored_lines(tmp_path) == 52


def test_spools_of_other_stores_are_listed_with_the_command_they_need(
    cli, tmp_path, monkeypatch
) -> None:
    spool, mine = tmp_path / "spool", tmp_path / "mine"
    monkeypatch.setenv("OBSWRITER_SPOOL_DIR", str(spool))
    leave_events(tmp_path / "theirs", spool)
    result = cli("recover", "--json", "--storage", mine)
    [other] = result.json[0]["elsewhere"]
    assert (other["dead"], other["running"]) == (1, 0)
    assert other["destination"] == (tmp_path / "theirs").as_uri()
    assert other["bytes"] > 0
    assert other["remedy"].endswith(
        f"obswriter recover --storage {other['destination']} --base-path observability"
    )
    assert other["remedy"] in cli("recover", "--storage", mine).out
    assert (result.status, f"there is no directory '{mine}'" in result.err) == (1, True)
    *_, storage, _, base_path = other["remedy"].split()
    assert cli("recover", "--storage", storage, "--base-path", base_path).status == 0
    assert stored_lines(tmp_path / "theirs") == 52


def test_a_store_of_the_programs_own_kind_needs_that_program(cli, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OBSWRITER_SPOOL_DIR", str(tmp_path / "spool"))
    code = """
import os, signal, obswriter
class Mine:
    def write(self, path, data): ...
    def read(self, path): ...
    def list(self, prefix=""): return []
    def delete(self, path): ...
    def move(self, source, destination): ...
    def exists(self, path): return False
obswriter.configure(file_storage=Mine(), project_id="test", flush_interval_ms=0)
obswriter.log("info", "m")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code])
    [other] = cli("recover", "--json", "--storage", tmp_path).json[0]["elsewhere"]
    assert "__main__.Mine" in other["remedy"]
    assert "start that" in other["remedy"]


def test_a_storage_that_cannot_be_looked_at_is_an_error(cli, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    wrong = {"nowhere": "there is no directory", "file": "file_storage must be a folder"}
    for name, text in wrong.items():
        result = cli("recover", "--storage", tmp_path / name)
        assert (result.status, result.out) == (2, "")
        assert text in result.err


def test_the_folder_below_the_store_is_refused_and_the_store_is_named(cli, tmp_path) -> None:
    leave_events(tmp_path)
    for command in ("recover", "ls"):
        result = cli(command, "--storage", tmp_path / "observability")
        assert (result.status, result.out) == (2, "")
        assert result.err.rstrip().endswith(f"pass --storage {tmp_path}")


def test_what_another_user_has_to_recover_is_an_error(cli, tmp_path, monkeypatch) -> None:
    leave_events(tmp_path)
    [home] = (tmp_path / "observability" / ".spool").iterdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != home and real(path, mode))
    result = cli("recover", "--storage", tmp_path)
    assert result.status == 1
    assert f"{home} is another user's: run this as root, or as its owner" in result.err


def test_what_waits_for_other_stores_in_the_state_directory_is_listed(
    cli, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    code = """
import os, signal, obswriter
from obswriter_testsupport.stores import FaultyStorage
from pathlib import Path
store = FaultyStorage(Path("away")); store.refuse()
obswriter.configure(file_storage=store, project_id="p")
obswriter.log("info", "m")
os.kill(os.getpid(), signal.SIGKILL)
"""
    support = str(Path(__file__).parents[2] / "support")
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": support})
    (tmp_path / "local").mkdir()
    [report] = cli("recover", "--json", "--storage", tmp_path / "local").json
    [other] = report["elsewhere"]
    assert other["destination"] == "faulty:away"
    assert other["dead"] == 1
