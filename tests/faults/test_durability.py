"""``durability="disk"``: what is put on the disk, and in which order, as the kernel saw it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from obswriter_testsupport.faults import PRELUDE, stored_events
from obswriter_testsupport.stores import IMPORTS

CALLS = "mmap,write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,mkdir"


@cache
def problem_with_strace() -> str | None:
    """Say why system calls cannot be recorded here, or return None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o/dev/null", "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else None


def trace(script: str, root: Path) -> list[str]:
    """Run *script*; return its calls on files below *root*, and what it said, in order."""
    root.mkdir(exist_ok=True)
    if problem := problem_with_strace():
        pytest.skip(f"system calls are recorded with strace: {problem}")
    say = "\ndef say(text):\n    os.write(OUT, text.encode())\n"
    setup = PRELUDE + IMPORTS + say + f"root = Path({str(root)!r})\n"
    output = root.parent / "calls"
    command = ["strace", "-f", "-y", "-s200", "-o", str(output), f"-e{CALLS}", sys.executable]
    subprocess.run([*command, "-c", setup + script], check=True, stdout=subprocess.DEVNULL)
    lines = [line.partition(" ")[2].strip() for line in output.read_text().splitlines()]
    calls = [line for line in lines if str(root) in line or line.startswith("write(")]
    return [call.replace(str(root), "ROOT") for call in calls if "= -1" not in call]


def position(calls: list[str], pattern: str, after: int = -1) -> int:
    """Where the next call is that *pattern* matches; fails where there is none."""
    for at, call in enumerate(calls[after + 1 :], after + 1):
        if re.search(pattern, call):
            return at
    listing = "\n".join(call[:200] for call in calls[max(0, after) :][:40])
    raise AssertionError(f"no {pattern!r} after call {after}:\n{listing}")


def positions(calls: list[str], *patterns: str) -> list[int]:
    """Where calls are that match *patterns*, one after the other."""
    found: list[int] = []
    for pattern in patterns:
        found.append(position(calls, pattern, found[-1] if found else -1))
    return found


LOG = r"ROOT/observability/log/p"
SPOOLED = r"ROOT/observability/\.spool/\d+/\w+/\w+/log/p"
NAME = r"\w+\.jsonl"

RECORD = """
obswriter.configure(file_storage=root, project_id="p", durability="disk", flush_interval_ms=0)
obswriter.log("info", "a")
say("recorded")
obswriter.flush()
say("flushed")
"""


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path: Path) -> None:
    root = tmp_path / "store"
    calls = trace(RECORD, root)
    positions(
        calls,
        rf"mmap\(.*MAP_SHARED, \d+<{SPOOLED}/{NAME}\.open>",
        r'write\(.*"recorded"',
        rf"ftruncate\(\d+<{SPOOLED}/{NAME}\.open>",
        rf"fsync\(\d+<{SPOOLED}/{NAME}\.open>\) += 0",
        rf'rename\("{SPOOLED}/{NAME}\.open", "{SPOOLED}/{NAME}"\)',
        rf"fsync\(\d+<{SPOOLED}>\) += 0",
        rf'rename\("{SPOOLED}/{NAME}", "{LOG}/{NAME}"\)',
        rf"fsync\(\d+<{LOG}>\) += 0",
        r'write\(.*"flushed"',
    )


def test_without_it_nothing_is_synced_when_a_file_is_stored(tmp_path: Path) -> None:
    root = tmp_path / "store"
    calls = trace(RECORD.replace('durability="disk", ', ""), root)
    position(calls, rf'rename\("{SPOOLED}/{NAME}", "{LOG}/{NAME}"\)')
    assert [call for call in calls if "sync(" in call] == []


def test_a_folder_that_was_made_for_the_file_is_synced_into_its_parent(tmp_path: Path) -> None:
    """Else a power loss may take the folder away, and with it the file."""
    root = tmp_path / "store"
    calls = trace(RECORD, root)
    made = [m[1] for call in calls if (m := re.match(r'mkdir\("(ROOT/observability[^".]*)"', call))]
    assert made == ["ROOT/observability", "ROOT/observability/log", "ROOT/observability/log/p"]
    flushed = position(calls, r'write\(.*"flushed"')
    for folder in made:
        parent = folder.rpartition("/")[0]
        at = position(calls, rf'mkdir\("{folder}"')
        assert position(calls, rf"fsync\(\d+<{parent}>\) += 0", at) < flushed


def test_what_was_in_memory_is_synced_too_file_and_folder(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (tmp_path / "no spool").touch()
    spool = f"spool_dir={str(tmp_path / 'no spool')!r}, "
    calls = trace(RECORD.replace("project_id", spool + "project_id"), root)
    positions(
        calls,
        r'write\(.*"recorded"',
        rf"fsync\(\d+<{LOG}/\.{NAME}\.\w+\.tmp>\) += 0",
        rf'rename\("{LOG}/\.{NAME}\.\w+\.tmp", "{LOG}/{NAME}"\)',
        rf"fsync\(\d+<{LOG}>\) += 0",
        r'write\(.*"flushed"',
    )


def test_a_file_copied_from_a_spool_elsewhere_is_synced_before_the_spools_is_removed(
    tmp_path: Path,
) -> None:
    root = tmp_path / "store"
    elsewhere = """
real = os.rename
def rename(source, target):
    if "/spool/" in str(source) and "/spool/" not in str(target):
        raise OSError(18, "Invalid cross-device link")
    real(source, target)
os.rename = rename
"""
    spool = 'spool_dir=root / "spool", '
    calls = trace(elsewhere + RECORD.replace("project_id", spool + "project_id"), root)
    positions(
        calls,
        rf"fsync\(\d+<ROOT/spool/.*/{NAME}\.open>\) += 0",
        rf"fsync\(\d+<{LOG}/\.{NAME}\.\w+\.tmp>\) += 0",
        rf'rename\("{LOG}/\.{NAME}\.\w+\.tmp", "{LOG}/{NAME}"\)',
        rf"fsync\(\d+<{LOG}>\) += 0",
        rf'unlink\("ROOT/spool/.*/{NAME}"\)',
        r'write\(.*"flushed"',
    )


def test_an_adopted_file_is_synced_with_its_folder_before_the_dead_process_is_forgotten(
    tmp_path: Path,
) -> None:
    root = tmp_path / "store"
    killed = RECORD.replace("obswriter.flush()", "os._exit(0)")
    trace(killed, root)
    calls = trace(RECORD, root)
    positions(
        calls,
        rf"fsync\(\d+<{LOG}/\.{NAME}\.\w+\.tmp>\) += 0",
        rf'rename\("{LOG}/\.{NAME}\.\w+\.tmp", "{LOG}/{NAME}"\)',
        rf"fsync\(\d+<{LOG}>\) += 0",
        rf'unlink\("{SPOOLED}/{NAME}\.open"\)',
    )


def test_a_folder_that_could_not_be_synced_holds_up_nothing_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obswriter import ObservabilityWriter, spool

    real = spool.fsync_directory
    failures = iter([OSError(5, "Input/output error")])

    def fsync_directory(path: str | Path) -> None:
        if ".spool" not in str(path) and (failure := next(failures, None)):
            raise failure
        real(str(path))

    monkeypatch.setattr(spool, "fsync_directory", fsync_directory)
    writer = ObservabilityWriter(
        file_storage=tmp_path, project_id="p", durability="disk", flush_interval_ms=0
    )
    writer.record_log({"level": "info", "message": "a"})
    writer.flush()
    writer.record_log({"level": "info", "message": "b"})
    assert writer.flush().errors == []
    writer.shutdown()
    assert [event["message"] for event in stored_events(tmp_path)] == ["a", "b"]


def test_a_store_that_is_passed_ready_made_is_synced_too(tmp_path: Path) -> None:
    ready = RECORD.replace("file_storage=root", "file_storage=obswriter.LocalStorage(root)")
    positions(
        trace(ready, tmp_path / "store"),
        rf'rename\("{SPOOLED}/{NAME}", "{LOG}/{NAME}"\)',
        rf"fsync\(\d+<{LOG}>\) += 0",
        r'write\(.*"flushed"',
    )
