"""Files reach the store: in order, under one name, however often it refuses or hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from obswriter import LocalStorage, Log, ObservabilityWriter, Span
from obswriter.adoption import adopt
from obswriter.batcher import MOST_OPEN
from obswriter.carrier import MEMORY_LIMIT
from obswriter.exceptions import StorageError
from obswriter.segment import MappedSegment
from obswriter.spool import Spool
from obswriter.spool_directory import _locks, try_lock
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until


@pytest.fixture
def store(tmp_path: Path) -> FaultyStorage:
    return FaultyStorage(tmp_path / "store")


@pytest.fixture
def writer(store: FaultyStorage, tmp_path: Path) -> Iterator[ObservabilityWriter]:
    writer = make_writer(store, tmp_path)
    yield writer
    store.recover()
    store.release()
    writer.shutdown()


def make_writer(store: FaultyStorage, tmp_path: Path, **options: object) -> ObservabilityWriter:
    defaults = {
        "project_id": "p",
        "flush_interval_ms": 0,
        "retry_initial_ms": 1,
        "retry_max_ms": 20,
        "spool_dir": tmp_path / "spool",
    }
    return ObservabilityWriter(file_storage=store, **{**defaults, **options})


def log(writer: ObservabilityWriter, message: str) -> None:
    writer.record_log(Log(level="info", message=message))


def messages(tmp_path: Path) -> list[str]:
    return [event["message"] for event in stored_events(tmp_path / "store", "log")]


def test_a_flush_reports_what_the_store_refused_and_why(
    writer: ObservabilityWriter, store: FaultyStorage
) -> None:
    store.refuse(PermissionError("no credentials"))
    log(writer, "a")
    log(writer, "b")
    result = writer.flush()
    assert (result.files_written, result.events_written) == (0, 0)
    [error] = result.errors
    assert (error.type, error.event_count, str(error.error)) == ("log", 2, "no credentials")


def test_a_refused_file_is_tried_again_under_the_same_name_until_it_is_stored(
    writer: ObservabilityWriter, store: FaultyStorage, tmp_path: Path
) -> None:
    store.refuse()
    log(writer, "a")
    writer.flush()
    wait_until(lambda: len(store.attempts) >= 4)
    store.recover()
    wait_until(lambda: writer.get_stats().total_events_written == 1)
    assert len(set(store.attempts)) == 1
    assert messages(tmp_path) == ["a"]


def test_a_file_that_was_stored_but_reported_as_failed_is_not_stored_twice(
    store: FaultyStorage, tmp_path: Path
) -> None:
    # Nobody tries again by himself before the first answer is looked at.
    writer = make_writer(store, tmp_path, retry_initial_ms=60_000, retry_max_ms=60_000)

    def lost_answer(path: str) -> None:
        store.recover()
        raise TimeoutError("no answer")

    store.after = lost_answer
    log(writer, "a")
    assert writer.flush().errors
    writer.shutdown()
    wait_until(lambda: writer.get_stats().total_events_written == 1)
    assert messages(tmp_path) == ["a"]


def test_the_order_within_a_type_survives_an_outage(store: FaultyStorage, tmp_path: Path) -> None:
    writer = make_writer(store, tmp_path, batch_size=5)
    store.refuse()
    for number in range(23):
        log(writer, str(number))
    writer.flush()
    store.recover()
    writer.shutdown()
    assert messages(tmp_path) == [str(number) for number in range(23)]


def test_one_type_that_is_refused_does_not_hold_up_the_others(
    writer: ObservabilityWriter, store: FaultyStorage, tmp_path: Path
) -> None:
    def only_logs(path: str) -> None:
        if "/log/" in path:
            raise OSError("no logs today")

    store.fault = only_logs
    log(writer, "a")
    writer.record_span(Span(trace_id="t", name="s", start_time=1, end_time=2))
    result = writer.flush()
    assert result.events_written == 1
    assert [error.type for error in result.errors] == ["log"]
    assert len(stored_events(tmp_path / "store", "span")) == 1


def test_a_flush_keeps_its_timeout_against_a_store_that_hangs(
    writer: ObservabilityWriter, store: FaultyStorage
) -> None:
    store.hold()
    log(writer, "a")
    result = writer.flush(timeout=0.05)
    assert result.files_written == 0
    assert isinstance(result.errors[0].error, TimeoutError)
    store.release()
    assert writer.flush().errors == []
    assert writer.get_stats().total_events_written == 1


def test_a_flush_answers_for_a_file_that_another_flush_is_writing(
    writer: ObservabilityWriter, store: FaultyStorage
) -> None:
    store.hold()
    log(writer, "a")
    results = []
    first = threading.Thread(target=lambda: results.append(writer.flush()))
    first.start()
    assert store.hanging.wait(10)
    second = threading.Thread(target=lambda: results.append(writer.flush()))
    second.start()
    wait_until(lambda: len(writer._batcher.carrier._tickets) == 1)
    store.release()
    first.join()
    second.join()
    assert [(r.files_written, r.events_written, r.errors) for r in results] == [(1, 1, [])] * 2


def test_a_full_batch_is_stored_without_a_flush_and_waited_for_by_shutdown(
    store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make_writer(store, tmp_path, batch_size=2)
    store.hold()
    log(writer, "a")
    log(writer, "b")
    assert store.hanging.wait(10)
    assert writer.get_stats().in_flight["log"] == 2
    threading.Timer(0.01, store.release).start()
    assert writer.shutdown(timeout=30).events_written == 2
    assert messages(tmp_path) == ["a", "b"]


def test_shutdown_keeps_its_timeout_reports_what_is_left_and_leaves_it_for_the_next(
    store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make_writer(store, tmp_path)
    store.hold()
    log(writer, "a")
    result = writer.shutdown(timeout=0.05)
    assert [(e.type, e.event_count) for e in result.errors] == [("log", 1)]
    assert writer.is_shutdown
    store.fault = lambda path: (_ for _ in ()).throw(OSError("gave up"))
    store.release()
    wait_until(lambda: not any(t.name == "obswriter" for t in threading.enumerate()))
    store.recover()
    following = make_writer(store, tmp_path)
    log(following, "b")
    wait_until(lambda: following.get_stats().recovered == 1)
    following.shutdown()
    assert sorted(messages(tmp_path)) == ["a", "b"]


def test_a_backlog_lies_on_the_disk_and_not_in_memory(store: FaultyStorage, tmp_path: Path) -> None:
    writer = make_writer(store, tmp_path, batch_size=10)
    store.refuse()
    for number in range(500):
        log(writer, str(number))
    writer.flush()
    queue = list(writer._batcher.carrier.queue)
    assert len(queue) == 50
    assert all(not segment.window for segment in queue)
    assert len(list((tmp_path / "spool").rglob("*.jsonl"))) == 50
    store.recover()
    writer.shutdown()
    assert len(messages(tmp_path)) == 500


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop_oldest", range(60, 100)), ("drop_newest", range(40))]
)
def test_at_the_bound_of_the_spool_the_chosen_end_is_dropped_counted_and_written_down(
    policy: str, kept: range, store: FaultyStorage, tmp_path: Path
) -> None:
    size = len(b"x" * 1000) + 300
    writer = make_writer(
        store, tmp_path, batch_size=10, max_spool_bytes=4 * 10 * size, spool_full=policy
    )
    store.refuse()
    for number in range(100):
        log(writer, f"{number:03d}" + "x" * 1000)
    stats = writer.get_stats()
    dropped = stats.dropped["log"]["spool_full"]
    assert 40 <= dropped <= 70
    assert stats.recorded["log"] == 100 == dropped + stats.in_flight["log"]
    store.recover()
    writer.shutdown()
    found = [int(message[:3]) for message in messages(tmp_path)]
    assert len(found) == 100 - dropped
    assert found == sorted(found)
    # Whole files are dropped: the bound may fall within one.
    assert set(kept[10:-10]) <= set(found)
    notes = stored_events(tmp_path / "store", "metric")
    assert {note["name"] for note in notes} == {"obswriter.events.dropped"}
    assert sum(note["value"] for note in notes) == dropped
    assert notes[0]["attributes"] == {
        "obswriter.event.type": "log",
        "obswriter.reason": "spool_full",
    }


def test_a_failing_store_is_warned_about_once_a_minute(
    writer: ObservabilityWriter, store: FaultyStorage, caplog: pytest.LogCaptureFixture
) -> None:
    store.refuse()
    with caplog.at_level(logging.WARNING, logger="obswriter"):
        log(writer, "a")
        for _ in range(10):
            writer.flush()
        wait_until(lambda: len(store.attempts) > 10)
    assert len([r for r in caplog.records if "refused a file, which waits" in r.getMessage()]) == 1


def test_a_warning_about_a_store_tells_no_password(
    writer: ObservabilityWriter, store: FaultyStorage, caplog: pytest.LogCaptureFixture
) -> None:
    store.refuse(OSError("GET https://me:hunter2@example/x?X-Amz-Signature=hunter2 -> 403"))
    log(writer, "a")
    writer.flush()
    wait_until(lambda: "refused a file, which waits" in caplog.text)
    assert "hunter2" not in caplog.text
    assert "example/x" in caplog.text


def test_a_round_that_fails_in_an_unforeseen_way_does_not_end_the_thread(
    writer: ObservabilityWriter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log(writer, "a")
    writer.flush()
    monkeypatch.setattr(writer._batcher, "prepare", lambda forced: 1 / 0)
    log(writer, "b")
    writer.flush(timeout=5)
    monkeypatch.undo()
    log(writer, "c")
    writer.flush()
    assert sorted(messages(tmp_path)) == ["a", "b", "c"]


class Panic(BaseException):
    """As stores written in Rust raise."""


class UnprintableError(Exception):
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, Panic, UnprintableError])
def test_whatever_a_store_raises_holds_up_no_other_type_and_the_file_is_tried_again(
    kind: type[BaseException], writer: ObservabilityWriter, store: FaultyStorage, tmp_path: Path
) -> None:
    def fault(path: str) -> None:
        if "/log/" in path:
            raise kind

    store.fault = fault
    log(writer, "a")
    writer.record_metric({"name": "m", "value": 1})
    [error] = writer.flush(timeout=10).errors
    assert error.type == "log"
    assert type(error.error) in (kind, StorageError)
    assert len(stored_events(tmp_path / "store", "metric")) == 1
    store.recover()
    wait_until(lambda: messages(tmp_path) == ["a"])


def test_a_round_in_which_something_else_than_an_exception_is_raised_does_not_end_the_thread(
    writer: ObservabilityWriter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def look_after() -> float:
        raise Panic

    monkeypatch.setattr(writer._batcher.carrier.spool, "look_after", look_after)
    log(writer, "a")
    writer.flush(timeout=10)
    monkeypatch.undo()
    log(writer, "b")
    writer.flush(timeout=10)
    assert messages(tmp_path) == ["a", "b"]


def no_threads(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_who_is_interrupted_while_sending_in_line_hears_of_it_and_the_file_is_sent_later(
    writer: ObservabilityWriter,
    store: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", no_threads)
    store.fault = interrupt
    log(writer, "a")
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    store.recover()
    assert writer.flush().events_written == 1
    assert messages(tmp_path) == ["a"]


def test_without_a_thread_files_are_stored_in_line(
    store: FaultyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_threads)
    writer = make_writer(store, tmp_path, batch_size=2)
    log(writer, "a")
    log(writer, "b")
    assert messages(tmp_path) == ["a", "b"]
    log(writer, "c")
    assert writer.shutdown().events_written == 1
    assert messages(tmp_path) == ["a", "b", "c"]


def test_where_a_thread_can_be_started_again_the_application_stores_nothing_itself(
    store: FaultyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storing_threads = []
    store.fault = lambda path: storing_threads.append(threading.current_thread().name)
    writer = make_writer(store, tmp_path, batch_size=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_threads)
        log(writer, "a")
    log(writer, "b")
    writer.flush()
    log(writer, "c")
    writer.shutdown()
    assert storing_threads == [threading.current_thread().name, "obswriter", "obswriter"]
    assert messages(tmp_path) == ["a", "b", "c"]


def test_durability_disk_syncs_files_and_folders_when_they_are_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    synced = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    writer = ObservabilityWriter(file_storage=tmp_path, project_id="p", durability="disk")
    log(writer, "a")
    writer.shutdown()
    assert any(path.endswith(".open") for path in synced)
    assert str(tmp_path / "observability" / "log" / "p") in synced


def test_a_file_closed_while_others_are_sealed_is_renamed_into_the_store_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it copied, a death before its removal from the spool would leave it in both."""
    copied: list[str] = []
    later = ["b"]
    seal = Spool.seal

    def seal_while_one_more_is_closed(spool: Spool, segment: MappedSegment) -> None:
        seal(spool, segment)
        while later:
            log(writer, later.pop())

    monkeypatch.setattr(Spool, "seal", seal_while_one_more_is_closed)
    monkeypatch.setattr(LocalStorage, "write", lambda store, path, data: copied.append(path))
    writer = ObservabilityWriter(file_storage=tmp_path / "store", project_id="p", batch_size=1)
    log(writer, "a")
    wait_until(lambda: writer.get_stats().total_events_written == 2)
    writer.shutdown()
    assert copied == []
    assert messages(tmp_path) == ["a", "b"]


def test_who_dies_after_storing_what_could_not_be_sealed_leaves_nothing_to_be_stored_twice(
    store: FaultyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(spool: Spool, segment: MappedSegment) -> None:
        raise OSError("the disk refuses")

    writer = make_writer(store, tmp_path)
    monkeypatch.setattr(Spool, "seal", refuse)
    monkeypatch.setattr(MappedSegment, "discard", MappedSegment.close)
    log(writer, "a")
    assert writer.flush().events_written == 1
    [family] = (tmp_path / "spool").glob("*/*")
    [spool] = family.glob("*/*/p")
    writer.shutdown()
    adopt(str(family), store, "observability")
    assert messages(tmp_path) == ["a"]
    assert not spool.exists()


def test_a_flush_in_line_ends_though_others_record_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the interpreter's end, say, while a server's threads still answer."""
    writer = ObservabilityWriter(file_storage=tmp_path, project_id="p", batch_size=1)
    carrier = writer._batcher.carrier
    carrier.inline = carrier.stopping = True  # no thread, and none to come
    make_round, rounds = carrier._make_round, count()

    def make_round_beside_others(forced: bool) -> float:
        wait = make_round(forced)
        if next(rounds) < 1000:
            writer.record_log(Log(level="info", message="meanwhile"))
        return wait

    seconds = count()
    clock = SimpleNamespace(monotonic=lambda: float(next(seconds)))
    monkeypatch.setattr("obswriter.carrier.time", clock)
    monkeypatch.setattr(carrier, "_make_round", make_round_beside_others)
    writer.record_log(Log(level="info", message="before"))
    writer.flush(20)
    assert next(rounds) < 100


def test_who_flushes_in_the_midst_of_storing_in_line_waits_for_nobody(
    writer: ObservabilityWriter,
    store: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A signal handler, say, while the interpreter ends."""
    monkeypatch.setattr(threading.Thread, "start", no_threads)
    store.fault = lambda path: writer.flush()
    log(writer, "a")
    assert writer.flush().events_written == 1
    assert messages(tmp_path) == ["a"]


def test_a_file_whose_name_another_has_in_the_store_gets_a_new_one(tmp_path: Path) -> None:
    writer = ObservabilityWriter(
        file_storage=tmp_path / "store", project_id="p", flush_interval_ms=0, retry_initial_ms=1
    )
    log(writer, "a")
    name = writer._batcher._buckets["log", "p"].segment.file_name
    taken = tmp_path / "store" / "observability" / "log" / "p" / name
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"")
    writer.flush()
    assert writer.flush().errors == []
    writer.shutdown()
    assert taken.read_bytes() == b""
    assert messages(tmp_path) == ["a"]


class Once(LocalStorage):
    """Stores a file, then reports a failure once; takes no other file of the same name."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failures = 1

    put_file = None  # type: ignore[assignment]

    def write(self, path: str, data: bytes) -> None:
        if self.exists(path):
            raise FileExistsError(path)
        super().write(path, data)
        self.failures -= 1
        if self.failures >= 0:
            raise TimeoutError("no answer")


def test_what_was_stored_and_reported_as_failed_is_not_stored_again_under_another_name(
    tmp_path: Path,
) -> None:
    once = Once(tmp_path / "store")
    writer = make_writer(once, tmp_path, retry_initial_ms=60_000, retry_max_ms=60_000)
    log(writer, "once")
    assert "no answer" in str(writer.flush().errors[0].error)
    assert writer.flush().errors == []
    log(writer, "twice")
    writer.shutdown()
    assert messages(tmp_path) == ["once", "twice"]
    assert writer.get_stats().written["log"] == 2
    assert not list((tmp_path / "spool").rglob("*.jsonl*"))


def test_something_else_in_the_way_changes_no_name_and_no_order(tmp_path: Path) -> None:
    writer = ObservabilityWriter(
        file_storage=tmp_path / "store", project_id="p", batch_size=1, flush_interval_ms=0
    )
    in_the_way = tmp_path / "store" / "observability" / "log"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    for number in range(3):
        log(writer, str(number))
    names = [segment.file_name for segment in writer._batcher.carrier.queue]
    for _ in range(3):
        assert writer.flush().errors
    in_the_way.unlink()
    writer.shutdown()
    assert sorted(path.name for path in in_the_way.glob("*/*.jsonl")) == names
    assert messages(tmp_path) == ["0", "1", "2"]


def test_all_segments_in_memory_together_stay_within_the_bound(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    writer = make_writer(FaultyStorage(tmp_path / "store"), tmp_path)
    segment = writer._batcher.carrier.new_in_memory("log", "p")
    assert segment.max_size * MOST_OPEN <= MEMORY_LIMIT
    writer.shutdown()


def test_who_stores_in_line_while_others_record_goes_on_at_once(tmp_path: Path) -> None:
    """At the exit other threads may record as fast as this one stores."""
    writer = make_writer(FaultyStorage(tmp_path / "store"), tmp_path, batch_size=1)
    carrier = writer._batcher.carrier
    one_round, rounds = carrier._one_round, []

    def somebody_closes_another(timeout: float) -> float | None:
        rounds.append(timeout)
        wait = one_round(timeout)
        carrier.queue.append(carrier.new_segment("log", "p"))
        return wait

    carrier._one_round = somebody_closes_another  # type: ignore[method-assign]
    carrier.inline = carrier.stopping = True
    log(writer, "a")
    assert len(rounds) <= 2
    carrier.queue.clear()
    carrier.inline = carrier.stopping = False
    del carrier._one_round


def test_a_process_that_ends_keeps_its_lock_while_it_may_still_store(tmp_path: Path) -> None:
    """Else a sibling adopts what this one is about to store."""
    store = FaultyStorage(tmp_path / "store")
    store.refuse()
    writer = make_writer(store, tmp_path)
    log(writer, "a")
    spool = writer._batcher.carrier.spool
    writer._batcher.carrier.inline = True  # as while the interpreter ends
    writer.shutdown()
    with try_lock(spool.path) as ours:
        assert not ours
    [lock] = [fd for fd in _locks if os.path.samestat(os.fstat(fd), os.stat(spool.path))]
    os.close(lock)  # as the kernel does then
    _locks.remove(lock)
    with try_lock(spool.path) as ours:
        assert ours
