"""Broken disks and deleted files: events go on, in memory if need be, and come back to disk."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obswriter import LocalStorage, Log, ObservabilityWriter
from obswriter import spool as spool_module
from obswriter.adoption import STALE_SECONDS
from obswriter.segment import MappedSegment
from obswriter.spool_directory import OWNER, make_family, make_owned
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until


def make_writer(store: Any, **options: Any) -> ObservabilityWriter:
    return ObservabilityWriter(
        **{"file_storage": store, "project_id": "p", "flush_interval_ms": 0, **options}
    )


def log(writer: ObservabilityWriter, message: str) -> None:
    writer.record_log(Log(level="info", message=message))


def messages(root: Path) -> list[str]:
    return [event["message"] for event in stored_events(root)]


def test_without_a_spool_events_wait_in_memory_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    with caplog.at_level(logging.WARNING, logger="obswriter"):
        writer = make_writer(FaultyStorage(tmp_path), spool_dir=blocked, batch_size=2)
        for number in range(5):
            log(writer, str(number))
        writer.shutdown()
    assert messages(tmp_path) == list("01234")
    assert len([r for r in caplog.records if "kept in memory" in r.getMessage()]) == 1


def test_what_waits_in_memory_is_bounded_and_what_goes_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obswriter.carrier.MEMORY_LIMIT", 10_000)
    blocked = tmp_path / "a file"
    blocked.touch()
    store = FaultyStorage(tmp_path)
    store.refuse()
    writer = make_writer(store, spool_dir=blocked, batch_size=10)
    for number in range(200):
        log(writer, f"{number}" + "x" * 200)
    stats = writer.get_stats()
    assert stats.dropped["log"]["spool_full"] >= 150
    assert sum(segment.size for segment in writer._batcher.carrier.queue) <= 10_000
    store.recover()
    writer.shutdown()


def test_mapped_segments_return_with_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    real = os.posix_fallocate

    def posix_fallocate(fd: int, start: int, length: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        real(fd, start, length)

    monkeypatch.setattr(os, "posix_fallocate", posix_fallocate)
    writer = make_writer(tmp_path)
    log(writer, "in memory")
    bucket = next(iter(writer._batcher._buckets.values()))
    assert not isinstance(bucket.segment, MappedSegment)
    writer.flush()
    full = False
    log(writer, "first")
    writer.flush()
    log(writer, "second")
    assert isinstance(bucket.segment, MappedSegment)
    writer.shutdown()
    assert messages(tmp_path) == ["in memory", "first", "second"]


def test_a_disk_that_fills_in_the_middle_of_a_segment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer(tmp_path)
    for number in range(3):
        log(writer, str(number))

    def full(fd: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    log(writer, "3" + "x" * 900_000)
    log(writer, "4")
    writer.shutdown()
    assert [message[0] for message in messages(tmp_path)] == list("01234")


def test_a_disk_without_room_for_a_spool_is_left_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    storage = LocalStorage(tmp_path)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            make_owned(make_family(tmp_path / "spool", storage, "observability"))
    assert list((tmp_path / "spool").glob("*/*/")) == []
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_segment_deleted_under_the_writer_is_written_anew(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    log(writer, "a")
    [bucket] = writer._batcher._buckets.values()
    wait_until(lambda: bucket.spare is not None)  # nobody makes files there meanwhile
    shutil.rmtree(tmp_path / "observability" / ".spool")
    log(writer, "b")
    assert writer.flush().errors == []
    assert messages(tmp_path) == ["a", "b"]
    log(writer, "c")
    writer.shutdown()
    assert messages(tmp_path) == ["a", "b", "c"]


class Interrupting(bytearray):
    """Memory that nobody gets to write to."""

    def __setitem__(self, key: object, value: object) -> None:
        raise KeyboardInterrupt


def test_a_spool_deleted_under_the_writer_does_not_disturb_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make_writer(tmp_path)
    log(writer, "a")
    writer.flush()
    shutil.rmtree(tmp_path / "observability")
    writer.shutdown()
    assert caplog.records == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
def test_a_spool_that_is_deleted_again_and_again_takes_no_more_descriptors(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    counts = []
    for number in range(6):
        log(writer, str(number))
        writer.flush()
        shutil.rmtree(tmp_path / "observability" / ".spool")
        counts.append(len(os.listdir("/proc/self/fd")))
    writer.shutdown()
    assert max(counts) <= counts[0]
    assert messages(tmp_path) == list("012345")


def test_a_hole_left_by_an_interrupted_append_is_not_stored(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    log(writer, "a")
    segment = next(iter(writer._batcher._buckets.values())).segment
    window, segment.window = segment.window, Interrupting()
    with pytest.raises(KeyboardInterrupt):
        log(writer, "interrupted")
    segment.window = window
    log(writer, "b")
    writer.shutdown()
    [file] = tmp_path.rglob("*.jsonl*")  # and none that the next process would store once more
    assert b"\0" not in file.read_bytes()
    assert messages(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("interval", [0, 50, 3_600_000])
def test_a_living_process_shows_that_it_lives_long_before_it_counts_as_dead(
    interval: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the flush interval; and its thread does not sleep beyond the next heartbeat."""
    writer = ObservabilityWriter(file_storage=tmp_path, project_id="p", flush_interval_ms=interval)
    writer.record_log(Log(level="info", message="a"))
    spool = writer._batcher.carrier.spool
    owner = Path(spool.path, OWNER)
    writer.flush()
    now = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr("obswriter.spool.time", SimpleNamespace(monotonic=lambda: now))
        for _ in range(3):
            os.utime(owner, (0, 0))
            now += STALE_SECONDS / 3
            assert spool.look_after() <= STALE_SECONDS / 3
            assert owner.stat().st_mtime > 0
    writer.shutdown()


@pytest.mark.parametrize("batch_size", [10, 1_000_000], ids=["closed", "open"])
def test_what_is_in_memory_keeps_to_the_bound_of_the_spool_too(
    batch_size: int, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    store = FaultyStorage(tmp_path)
    store.refuse()
    bounds = {"spool_dir": tmp_path / "a file", "max_spool_bytes": 10_000}
    writer = make_writer(store, batch_size=batch_size, **bounds)
    for number in range(200):
        log(writer, f"{number}" + "x" * 200)
    waiting = writer._batcher.carrier.queue
    assert sum(segment.size for segment in waiting) <= 10_000
    assert writer._batcher._buckets["log", "p"].segment.size <= 10_000
    assert writer.get_stats().dropped["log"]["spool_full"] >= 150
    store.recover()
    writer.shutdown()


def test_who_interrupts_the_making_of_the_spool_makes_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer(tmp_path)
    real = spool_module.make_owned
    calls: list[str] = []

    def make_owned(family: str) -> object:
        made = real(family)
        calls.append(family)
        if len(calls) == 1:
            log(writer, "interrupting")
        return made

    monkeypatch.setattr(spool_module, "make_owned", make_owned)
    log(writer, "interrupted")
    assert len(calls) == 2
    assert len(list(tmp_path.glob("observability/.spool/*/*/*/"))) == 1
    writer.shutdown()
    assert sorted(messages(tmp_path)) == ["interrupted", "interrupting"]
