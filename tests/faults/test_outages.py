"""A store that is away: the backlog waits on the disk, and arrives in order under its names."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obswriter import Log, ObservabilityWriter, WriterStats
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until

Make = Callable[..., ObservabilityWriter]


class Clock:
    """A monotonic clock that can be put forward; the rest of ``time`` is as ever."""

    def __init__(self) -> None:
        self.ahead = 0.0
        rest = {name: getattr(time, name) for name in dir(time) if name[0] != "_"}
        self.module = SimpleNamespace(**{**rest, "monotonic": self.monotonic})

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name, module in list(sys.modules.items()):
        if name.startswith("obswriter.") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", clock.module)
    return clock


@pytest.fixture
def store(tmp_path: Path) -> FaultyStorage:
    return FaultyStorage(tmp_path / "store")


@pytest.fixture
def make(store: FaultyStorage, tmp_path: Path) -> Iterator[Make]:
    made = []

    def make(**options: Any) -> ObservabilityWriter:
        defaults: dict[str, Any] = {
            "project_id": "p",
            "batch_size": 10,
            "flush_interval_ms": 0,
            "retry_initial_ms": 1,
            "retry_max_ms": 20,
            "spool_dir": tmp_path / "spool",
        }
        made.append(ObservabilityWriter(file_storage=store, **{**defaults, **options}))
        return made[-1]

    yield make
    store.recover()
    store.release()
    for writer in made:
        writer.shutdown()


def record(writer: ObservabilityWriter, numbers: range, padding: int = 0) -> None:
    for number in numbers:
        writer.record_log(Log(level="info", message=f"{number:05d}{'x' * padding}"))


def numbers_in(tmp_path: Path) -> list[int]:
    return [int(event["message"][:5]) for event in stored_events(tmp_path / "store", "log")]


def spooled(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "spool").rglob("*.jsonl"))


def dropped_logs(stats: WriterStats) -> int:
    return stats.dropped["log"].get("spool_full", 0)


def notes(tmp_path: Path, type: str = "log") -> int:
    """Sum up what the files say was dropped."""
    events = stored_events(tmp_path / "store", "metric")
    assert {event["name"] for event in events} <= {"obswriter.events.dropped"}
    about = [e for e in events if e["attributes"]["obswriter.event.type"] == type]
    return sum(event["value"] for event in about)


FAULTS: dict[str, Callable[[FaultyStorage], None]] = {
    "refuses": lambda store: store.refuse(ConnectionRefusedError(111, "Connection refused")),
    "times out": lambda store: store.refuse(TimeoutError("no answer within 60 s")),
    "has lost its credentials": lambda store: store.refuse(PermissionError("ExpiredToken")),
    "fails in a way of its own": lambda store: store.refuse(KeyError("endpoint")),
    "breaks off in the middle": FaultyStorage.tear,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_recorded_while_the_store_was_away_arrives_in_order_under_its_names(
    fault: str, make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make()
    record(writer, range(25))
    writer.flush()
    FAULTS[fault](store)
    record(writer, range(25, 100))
    [error] = writer.flush().errors
    assert (error.type, error.event_count) == ("log", 75)
    waiting = spooled(tmp_path)
    assert len(waiting) == 8
    record(writer, range(100, 120))
    store.recover()
    assert writer.flush().errors == []
    assert numbers_in(tmp_path) == list(range(120))
    names = [path.name for path in (tmp_path / "store").rglob("*.jsonl")]
    assert set(waiting) <= set(names)
    assert spooled(tmp_path) == []


def test_a_store_that_hangs_and_then_answers_gets_everything_in_order(
    make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make()
    store.hold()
    record(writer, range(100))
    assert store.hanging.wait(10)
    assert writer.flush(timeout=0.01).errors
    record(writer, range(100, 150))
    store.release()
    assert writer.flush().errors == []
    assert numbers_in(tmp_path) == list(range(150))


def test_recording_does_not_wait_for_a_store_that_hangs_not_even_at_the_bound_of_the_spool(
    make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make(max_spool_bytes=20_000)
    store.hold()
    record(writer, range(10))
    assert store.hanging.wait(10)
    attempts = len(store.attempts)
    record(writer, range(10, 3000))
    assert len(store.attempts) == attempts  # it hung all the while
    stats = writer.get_stats()
    assert stats.recorded["log"] == 3000 == stats.in_flight["log"] + dropped_logs(stats)
    store.release()
    assert writer.flush().errors == []
    found = numbers_in(tmp_path)
    assert found == sorted(set(found))
    assert len(found) == 3000 - dropped_logs(stats)
    assert found[:10] == list(range(10))  # what was being stored could not be dropped


def test_a_store_that_is_away_for_an_hour_is_asked_now_and_then_and_gets_everything(
    make: Make, store: FaultyStorage, clock: Clock, tmp_path: Path
) -> None:
    writer = make(retry_initial_ms=500, retry_max_ms=30_000)
    carrier = writer._batcher.carrier
    store.refuse()
    record(writer, range(10))
    wait_until(lambda: carrier.backoff.failures == 1)
    for minute in range(60):
        record(writer, range(10 * minute + 10, 10 * minute + 20))
        failures = carrier.backoff.failures
        clock.ahead += 60
        carrier.wake()
        wait_until(lambda before=failures: carrier.backoff.failures > before)
    # At most one attempt for each minute's wake-up and for each file that was closed.
    assert 60 < len(store.attempts) <= 2 * 61
    assert len(set(store.attempts)) == 1  # the oldest goes first
    assert len(spooled(tmp_path)) == 61
    store.recover()
    clock.ahead += 60
    carrier.wake()
    wait_until(lambda: writer.get_stats().total_events_written == 610)
    assert numbers_in(tmp_path) == list(range(610))


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_is_dropped_in_an_outage_is_written_down_even_if_flushed_meanwhile(
    policy: str, make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    """The notes wait beside the data; somebody who holds only the files can add them up."""
    writer = make(max_spool_bytes=20_000, spool_full=policy)
    store.refuse()
    for start in range(0, 1000, 100):
        record(writer, range(start, start + 100))
        writer.flush()
    dropped = dropped_logs(writer.get_stats())
    assert dropped > 500
    store.recover()
    writer.shutdown()
    stats = writer.get_stats()
    assert len(numbers_in(tmp_path)) == 1000 - dropped_logs(stats)
    assert notes(tmp_path) == dropped_logs(stats)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_at_every_moment_of_an_outage_the_counts_add_up(
    policy: str, make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make(max_spool_bytes=20_000, spool_full=policy)
    store.refuse()
    for start in range(0, 500, 7):
        record(writer, range(start, start + 7))
        stats = writer.get_stats()
        parts = stats.written["log"] + stats.buffers_by_type["log"] + stats.in_flight["log"]
        assert stats.recorded["log"] == start + 7 == parts + dropped_logs(stats)
    waiting = [path.stat().st_size for path in (tmp_path / "spool").rglob("*.jsonl")]
    assert sum(waiting) <= 20_000


def warnings_about(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.name == "obswriter"]
    return [message for message in said if text in message]


def test_dropping_for_a_quarter_of_an_hour_is_warned_about_once_a_minute(
    make: Make, store: FaultyStorage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make(max_spool_bytes=10_000, retry_initial_ms=30_000, retry_max_ms=30_000)
    store.refuse()
    with caplog.at_level(logging.WARNING, logger="obswriter"):
        for minute in range(15):
            for part in range(5):  # five flushes a minute, each with a number of its own
                record(writer, range(100 + 50 * minute + 10 * part))
                writer.flush()
                clock.ahead += 12.5
            assert len(warnings_about(caplog, "log events were dropped")) <= minute + 1
    assert len(warnings_about(caplog, "log events were dropped")) >= 13
    assert len(warnings_about(caplog, "the store refused")) <= 16


def test_a_write_that_failed_after_all_and_one_that_was_stored_but_not_confirmed_are_kept_apart(
    make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    """Every other answer is lost: each file is stored once, whatever was reported."""
    writer = make()
    lost = []

    def lose_every_other_answer(path: str) -> None:
        if len(store.attempts) % 2:
            lost.append(path)
            raise ConnectionResetError("the answer was lost")

    store.after = lose_every_other_answer
    record(writer, range(100))
    wait_until(lambda: (writer.flush(), writer.get_stats().total_events_written == 100)[1])
    assert len(set(lost)) > 5
    assert numbers_in(tmp_path) == list(range(100))


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_just_fits_the_spool_is_not_dropped(
    policy: str, make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    store.refuse()
    first = make(spool_dir=tmp_path / "measured")
    record(first, range(10))
    first.flush()
    [file] = (tmp_path / "measured").rglob("*.jsonl")
    writer = make(max_spool_bytes=3 * file.stat().st_size, spool_full=policy)
    record(writer, range(30))
    assert dropped_logs(writer.get_stats()) == 0
    record(writer, range(30, 40))
    assert dropped_logs(writer.get_stats()) == 10


def test_a_store_that_refused_is_left_alone_for_a_while_whatever_is_recorded(
    make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make(retry_initial_ms=600_000, retry_max_ms=600_000)
    store.refuse()
    for files in range(1, 11):
        record(writer, range(10))
        wait_until(lambda: len(spooled(tmp_path)) == files)  # noqa: B023 (called in this very turn)
    assert len(store.attempts) == 1
