"""Disks that are full, read-only, broken or taken away: the application notices nothing.

Events go on in memory, with one warning, and return to the disk with it. The disks are real
small file systems in a mount namespace of the child's own, where this may be done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from obswriter_testsupport.faults import Outcome, run
from obswriter_testsupport.stores import (
    BREAK,
    DROP_ROOT,
    IMPORTS,
    WATCH,
    folder_for_everybody,
    on_disk,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the disks are made as Linux does")


def assert_complete(outcome: Outcome, at_least: int = 1) -> None:
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) >= at_least
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_on_a_disk_that_fills_up_events_go_on_in_memory_and_return_to_it(
    kind: str, tmp_path: Path
) -> None:
    script = """
obswriter.configure(batch_size=50, retry_initial_ms=1, retry_max_ms=10)
record_some()
assert kind() is MappedSegment
for _ in range(3):
    record_until(Segment, fill)
    record_some(200)
warned_once()
os.unlink(disk / "filler")
record_until(MappedSegment)
assert obswriter.shutdown().errors == []
warned_once()
keep()
"""
    assert_complete(on_disk(kind, script, tmp_path), 700)


def test_under_a_limit_of_file_sizes_events_go_on_in_memory(tmp_path: Path) -> None:
    """As under a quota: nothing may grow, until the limit is lifted."""
    script = """
obswriter.configure(batch_size=50, retry_initial_ms=1, retry_max_ms=10)
record_some()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
obswriter.flush()
record_until(Segment)
record_some(300)
assert obswriter.flush().errors
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
record_until(MappedSegment)
assert obswriter.shutdown().errors == []
warned_once()
"""
    assert_complete(run(WATCH + script, tmp_path, DISK=str(tmp_path)), 360)


def test_on_a_read_only_disk_events_wait_in_memory_until_it_is_writable(tmp_path: Path) -> None:
    script = """
sh("mount", "-o", "remount,ro", str(disk))
obswriter.configure(batch_size=50, retry_initial_ms=1, retry_max_ms=10)
record_some(300)
assert kind() is Segment
assert obswriter.flush().events_written == 0
sh("mount", "-o", "remount,rw", str(disk))
record_until(MappedSegment)
assert obswriter.shutdown().errors == []
warned_once()
keep()
"""
    assert_complete(on_disk("ext4", script, tmp_path), 300)


def test_attempts_to_make_a_spool_on_a_full_disk_leave_nothing_behind(tmp_path: Path) -> None:
    script = """
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
obswriter.configure(batch_size=5, retry_initial_ms=1, flush_interval_ms=0)
record_some(10)
obswriter.flush()
def left():
    return len(os.listdir("/proc/self/fd")), len(list(disk.glob("observability/.spool/*/*/*")))
before = left()
record_some(100)
obswriter.flush()
assert left() == before, (before, left())
"""
    outcome = run(WATCH + script, tmp_path, DISK=str(tmp_path))
    assert outcome.status == 0, outcome.stderr


@pytest.mark.parametrize("how", BREAK)
def test_a_disk_that_breaks_for_good_kills_nobody_and_what_was_stored_stays(
    how: str, tmp_path: Path
) -> None:
    """The mapped segment goes on taking lines; what then finds no disk any more is reported."""
    script = """
obswriter.configure(batch_size=10_000, retry_initial_ms=1, retry_max_ms=10)
record_some()
obswriter.flush()
record_some(20)
break_disk()
record_some(10_000)
result = obswriter.flush()
assert sum(error.event_count for error in result.errors) == 10_020, result
stats = obswriter.get_writer().get_stats()
assert stats.recorded["log"] == 10_080 == stats.written["log"] + 10_020
obswriter.log("info", "one more")
assert kind() is Segment
warned_once()
sys.exit(3)
"""
    outcome = on_disk("ext4", BREAK[how] + script, tmp_path)
    assert outcome.status == 3, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(outcome.acknowledged) == 10_080


@pytest.mark.parametrize("how", BREAK)
def test_with_the_spools_disk_broken_events_still_reach_a_store_elsewhere(
    how: str, tmp_path: Path
) -> None:
    script = """
store = FaultyStorage(Path(os.environ["KEPT"]))
obswriter.configure(
    file_storage=store, spool_dir=str(disk), batch_size=50, retry_initial_ms=1, retry_max_ms=10
)
record_some()
obswriter.flush()
record_some(20)
break_disk()
record_some(300)
obswriter.flush()
record_some(1)
assert kind() is Segment
obswriter.flush()
stats = obswriter.get_writer().get_stats()
assert not stats.in_flight["log"], stats
warned_once()
"""
    assert_complete(on_disk("ext4", BREAK[how] + script, tmp_path), 300)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    with folder_for_everybody() as folder:
        yield folder


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_spool_made_unreadable_is_done_without_until_it_is_readable_again(
    mode: int, shared_folder: Path
) -> None:
    script = f"""
obswriter.configure(batch_size=50, retry_initial_ms=1, retry_max_ms=10)
record_some()
spool = disk / "observability" / ".spool"
folders = sorted([spool, *spool.rglob("*/")])
for folder in reversed(folders):
    folder.chmod({mode})
record_until(Segment)
record_some(300)
for folder in folders:
    folder.chmod(0o700)
record_until(MappedSegment)
assert obswriter.shutdown().errors == []
warned_once()
"""
    outcome = run(WATCH + DROP_ROOT + script, shared_folder, DISK=str(shared_folder))
    assert_complete(outcome, 360)


def test_files_deleted_from_the_spool_are_counted_as_lost_and_hold_up_nothing(
    tmp_path: Path,
) -> None:
    """Somebody needs the room while the store is away."""
    script = """
store = FaultyStorage(disk)
store.refuse()
obswriter.configure(file_storage=store, spool_dir=str(disk / "spool"), retry_initial_ms=1)
record_some(30)
obswriter.flush()
shutil.rmtree(disk / "spool")
store.recover()
record_some(40)
obswriter.flush()
stats = obswriter.get_writer().get_stats()
assert stats.written["log"] == 40, stats
assert sum(stats.dropped["log"].values()) == 30, stats
"""
    outcome = run(WATCH + script, tmp_path, DISK=str(tmp_path))
    assert outcome.status == 0, outcome.stderr
    assert outcome.missing() == set(outcome.acknowledged[:30])


def test_files_that_cannot_be_looked_at_are_not_taken_for_lost(shared_folder: Path) -> None:
    script = """
store = FaultyStorage(disk)
store.refuse()
obswriter.configure(file_storage=store, spool_dir=str(disk / "spool"), retry_initial_ms=1)
record_some()
obswriter.flush()
(disk / "spool").chmod(0o000)
store.recover()
obswriter.flush()
(disk / "spool").chmod(0o700)
assert obswriter.shutdown().errors == []
"""
    assert_complete(run(WATCH + DROP_ROOT + script, shared_folder, DISK=str(shared_folder)))


def test_a_stored_file_that_cannot_be_removed_from_the_spool_is_not_stored_again(
    shared_folder: Path,
) -> None:
    script = """
obswriter.configure(spool_dir=str(disk / "spool"), retry_initial_ms=1, flush_interval_ms=0)
record_some()
(disk / "observability").mkdir()
(disk / "observability").chmod(0o500)
obswriter.flush()
[sealed] = (disk / "spool").rglob("*.jsonl")
sealed.parent.chmod(0o500)
(disk / "observability").chmod(0o700)
for _ in range(3):
    obswriter.flush()
sealed.parent.chmod(0o700)
obswriter.flush()
"""
    outcome = run(WATCH + DROP_ROOT + script, shared_folder, DISK=str(shared_folder))
    assert_complete(outcome)


def test_a_spool_that_was_deleted_is_made_anew_as_private_and_as_locked_as_before(
    tmp_path: Path,
) -> None:
    """Else other users read it, or a neighbour takes its living owner for dead."""
    script = """
import fcntl
obswriter.configure(batch_size=50)
record_some()
obswriter.flush()
shutil.rmtree(disk / "observability" / ".spool")
record_some(10)
spool = next(disk.rglob("*.open")).parents[2]
assert spool.parents[1].stat().st_mode & 0o077 == 0, oct(spool.parents[1].stat().st_mode)
assert spool.parents[2].stat().st_mode & 0o1777 == 0o1777, oct(spool.parents[2].stat().st_mode)
other = os.open(spool, os.O_RDONLY)
try:
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(0)
raise AssertionError("nobody holds the lock")
"""
    assert_complete(run(WATCH + script, tmp_path, DISK=str(tmp_path)))


def test_a_file_to_be_dropped_that_cannot_be_deleted_raises_nothing_in_the_application(
    shared_folder: Path,
) -> None:
    script = """
store = FaultyStorage(disk)
store.refuse()
obswriter.configure(
    file_storage=store, spool_dir=str(disk / "spool"), batch_size=10, max_spool_bytes=10_000,
    flush_interval_ms=0, retry_initial_ms=1000,
)
record_some(65)
folders = list((disk / "spool").rglob("*/"))
for folder in folders:
    folder.chmod(0o500)
record_some(200)
for folder in folders:
    folder.chmod(0o700)
store.recover()
assert obswriter.shutdown().errors == []
stats = obswriter.get_writer().get_stats()
assert stats.recorded["log"] == 265 == stats.written["log"] + stats.dropped["log"]["spool_full"]
"""
    outcome = run(WATCH + DROP_ROOT + script, shared_folder, DISK=str(shared_folder))
    assert outcome.status == 0, outcome.stderr
    assert outcome.duplicated() == []


def test_an_event_that_a_nearly_full_disk_has_no_room_for_is_kept_in_memory(tmp_path: Path) -> None:
    """A fresh segment fits, the event within it does not: that is no reason to try for ever."""
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (600 * 1024, -1))
record("small")
record("x" * 700 * 1024)
record("small again")
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
"""
    assert_complete(run(IMPORTS + code, tmp_path), 3)
