"""Several things at once: recording beside flush(), shutdown() and a writer that is replaced."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import obswriter
from obswriter import Log, ObservabilityWriter, WriterShutdownError, process
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until

Make = Callable[..., ObservabilityWriter]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[ObservabilityWriter] = []

    def make(**options: Any) -> ObservabilityWriter:
        defaults = {"file_storage": tmp_path / "store", "project_id": "p", "flush_interval_ms": 0}
        made.append(ObservabilityWriter(**{**defaults, **options}))
        return made[-1]

    yield make
    for writer in made:
        writer.shutdown()


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def log(writer: ObservabilityWriter, message: str = "m") -> None:
    writer.record_log(Log(level="info", message=message))


def dropped_in_files(root: Path) -> dict[tuple[str, str], int]:
    told = [e for e in stored_events(root, "metric") if e["name"] == "obswriter.events.dropped"]
    return {
        (e["attributes"]["obswriter.event.type"], e["attributes"]["obswriter.reason"]): e["value"]
        for e in told
    }


# -- shutdown ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("switching_often")
@pytest.mark.parametrize("spool", [None, "/proc/no such place"], ids=["mapped", "in memory"])
def test_what_is_acknowledged_while_the_writer_shuts_down_is_stored(
    make: Make, tmp_path: Path, spool: str | None
) -> None:
    for turn in range(15):
        writer = make(file_storage=tmp_path / str(turn), spool_dir=spool)
        acknowledged = [0] * 4

        def record(me: int, writer: ObservabilityWriter, counts: list[int]) -> None:
            try:
                while True:
                    log(writer)
                    counts[me] += 1
            except WriterShutdownError:
                pass

        arguments = [(me, writer, acknowledged) for me in range(4)]
        threads = [threading.Thread(target=record, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(acknowledged))  # noqa: B023 (called in this very turn)
        writer.shutdown()
        for thread in threads:
            thread.join()
        stats = writer.get_stats()
        assert stats.total_events_buffered == 0
        assert stats.written["log"] == sum(acknowledged)
        assert len(stored_events(tmp_path / str(turn), "log")) == sum(acknowledged)


def test_what_comes_to_a_writer_that_was_replaced_goes_to_its_successor(
    make: Make, tmp_path: Path
) -> None:
    old, new = make(), make(file_storage=tmp_path / "new")
    old.give_way(new)
    old.append({"type": "log", "id": "1", "projectId": "p", "level": "info", "message": "late"})
    new.flush()
    assert [event["message"] for event in stored_events(tmp_path / "new", "log")] == ["late"]
    assert old.get_stats().dropped["log"] == {}


@pytest.mark.usefixtures("switching_often")
def test_nothing_is_lost_while_the_implicit_writer_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = process.exchange(None)
    try:
        counts = [0] * 4
        stop = threading.Event()

        def record(me: int) -> None:
            while not stop.is_set():
                obswriter.log("info", "m")
                counts[me] += 1

        threads = [threading.Thread(target=record, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(counts))
        obswriter.configure(file_storage=tmp_path / "mine", project_id="p", flush_interval_ms=50)
        reached = list(counts)
        wait_until(lambda: all(map(int.__gt__, counts, reached)))
        stop.set()
        for thread in threads:
            thread.join()
        # What the implicit writer had stored before is where it belongs.
        roots = tmp_path, tmp_path / "mine"
        wait_until(lambda: obswriter.flush() and sum(map(_count, roots)) == sum(counts))
    finally:
        obswriter.shutdown()
        process.exchange(before)


def _count(root: Path) -> int:
    return len(stored_events(root, "log"))


@pytest.mark.parametrize("timeout", [math.inf, 1e300, -1, -math.inf, 0])
def test_any_number_is_a_timeout(make: Make, tmp_path: Path, timeout: float) -> None:
    writer = make()
    log(writer)
    writer.flush(timeout)
    writer.shutdown(timeout)
    assert writer.is_shutdown
    if timeout > 0:
        assert _count(tmp_path / "store") == 1


def test_flushing_after_a_shutdown_that_was_in_vain_waits_for_nothing(
    make: Make, tmp_path: Path
) -> None:
    store = FaultyStorage(tmp_path / "away")
    store.refuse()
    writer = make(file_storage=store, spool_dir=tmp_path / "spool")
    log(writer)
    assert writer.shutdown(5).errors
    tried = len(store.attempts)
    [error] = writer.flush(0.5).errors
    assert error.event_count == 1
    assert len(store.attempts) == tried


# -- flush -------------------------------------------------------------------------------------


def test_a_flush_sees_a_segment_that_is_being_closed(make: Make) -> None:
    """It takes no lock, since a signal handler may ask for it in the middle of record_*()."""
    writer = make(batch_size=3)
    carrier = writer._batcher.carrier
    take, seen = carrier.take, []

    def flush_meanwhile(segment: Any) -> None:
        seen.append(writer._batcher._open_segments() + list(carrier.queue))
        take(segment)

    carrier.take = flush_meanwhile  # type: ignore[method-assign]
    for _ in range(3):
        log(writer)
    [segments] = seen
    assert [segment.count for segment in segments] == [3]


class StruckError(Exception):
    pass


def test_who_interrupts_the_closing_of_a_segment_makes_no_event_uncounted(make: Make) -> None:
    writer = make(batch_size=3)
    carrier = writer._batcher.carrier
    take = carrier.take

    def strike(segment: Any) -> None:
        carrier.take = take  # type: ignore[method-assign]
        raise StruckError

    carrier.take = strike  # type: ignore[method-assign]
    log(writer)
    log(writer)
    with pytest.raises(StruckError):
        log(writer)
    log(writer)
    assert writer.get_stats().recorded["log"] == 4  # wherever the thread has got with them
    assert writer.flush().errors == []
    assert writer.get_stats().written["log"] == 4


# -- drops -------------------------------------------------------------------------------------


def test_drops_are_told_of_in_the_files_also_where_nothing_else_is_recorded(
    make: Make, tmp_path: Path
) -> None:
    writer = make(flush_interval_ms=20)
    writer.drop("metric", "invalid")
    wait_until(lambda: dropped_in_files(tmp_path / "store") == {("metric", "invalid"): 1})


@pytest.mark.parametrize("end", [ObservabilityWriter.flush, ObservabilityWriter.shutdown])
def test_drops_are_told_of_before_the_end(
    make: Make, tmp_path: Path, end: Callable[[ObservabilityWriter], object]
) -> None:
    writer = make()
    log(writer)
    writer.flush()
    writer.drop("span", "sampled_out")
    end(writer)
    assert dropped_in_files(tmp_path / "store") == {("span", "sampled_out"): 1}


def test_in_memory_nothing_is_dropped_while_the_store_takes_it(make: Make, tmp_path: Path) -> None:
    writer = make(spool_dir="/proc/no such place", batch_size=10**6, max_file_size=64 * 2**20)
    for _ in range(45):
        log(writer, "a" * 900 * 1024)
        if len(writer._batcher.carrier.queue) > 2:
            writer.flush()
    writer.flush()
    assert writer.get_stats().dropped["log"] == {}
    assert _count(tmp_path / "store") == 45


# -- what is in nobody's hand ------------------------------------------------------------------


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the disk of the log is full")


@pytest.fixture
def failing_handler() -> Iterator[None]:
    logger, handler = logging.getLogger("obswriter"), Failing()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("failing_handler")
def test_a_log_handler_that_fails_stops_nothing(make: Make, tmp_path: Path) -> None:
    store = FaultyStorage(tmp_path / "away")
    store.refuse()
    writer = make(
        file_storage=store, spool_dir=tmp_path / "s", flush_interval_ms=20, retry_initial_ms=20
    )
    log(writer)
    wait_until(lambda: len(store.attempts) > 1)
    store.recover()
    log(writer)
    wait_until(lambda: writer.get_stats().written["log"] == 2)


@pytest.mark.usefixtures("failing_handler")
def test_a_log_handler_that_fails_is_no_reason_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "zzz")
    before = process.exchange(None)
    try:
        obswriter.log("info", "m")
        assert obswriter.get_writer().disabled
    finally:
        process.exchange(before)


def test_a_working_directory_that_is_gone_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    before = process.exchange(None)
    try:
        obswriter.log("info", "nowhere")
        writer = obswriter.configure(file_storage=tmp_path / "store", project_id="p", replace=True)
        obswriter.log("info", "here")
        writer.shutdown()
    finally:
        process.exchange(before)
    assert [event["message"] for event in stored_events(tmp_path / "store", "log")] == ["here"]


def test_a_disabled_writer_needs_no_store_and_leaves_the_process_alone() -> None:
    code = """
import signal, sys, obswriter
writer = obswriter.configure(file_storage="nosuch://b/x", project_id="p", disabled=True)
obswriter.log("info", "m")
with obswriter.span("s"): pass
writer.record_log({"level": "info", "message": "m"})
assert writer.flush().events_written == 0
writer.shutdown()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert not {"asyncio", "fsspec", "contextvars_extras"} & sys.modules.keys()
"""
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(["path"], {}), ([{"project_id": "p"}], {}), ([5], {"project_id": "p"})],
)
def test_a_config_is_one_or_nothing(arguments: list[Any], options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="takes options by name, or an ObservabilityWriterConfig"):
        ObservabilityWriter(*arguments, **options)


def test_a_config_and_options_together_are_refused(tmp_path: Path) -> None:
    config = obswriter.ObservabilityWriterConfig(file_storage=tmp_path, project_id="p")
    with pytest.raises(TypeError, match="and nothing else"):
        ObservabilityWriter(config, batch_size=5)


def test_a_segment_that_the_thread_makes_ready_during_a_shutdown_is_removed(
    make: Make, tmp_path: Path
) -> None:
    writer = make()
    batcher = writer._batcher
    real, begun = batcher.carrier.new_segment, threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        segment = real(*arguments, **options)
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            wait_until(lambda: batcher._ended)
        return segment

    batcher.carrier.new_segment = slow  # type: ignore[method-assign]
    log(writer)
    assert begun.wait(10)
    writer.shutdown()
    assert list(tmp_path.rglob("*.open")) == []


def test_a_spare_is_not_lost_where_the_next_segment_has_to_be_in_memory(
    make: Make, tmp_path: Path
) -> None:
    writer = make()
    log(writer)
    [bucket] = writer._batcher._buckets.values()
    wait_until(lambda: bucket.spare is not None)
    spare = bucket.spare
    bucket._begin(in_memory=True)
    assert bucket.spare is spare
    writer.shutdown()
    assert list(tmp_path.rglob("*.open")) == []


def test_a_shutdown_does_not_cut_off_what_is_being_told_of_drops(
    make: Make, tmp_path: Path
) -> None:
    writer = make()
    log(writer)
    writer.flush()
    batcher = writer._batcher
    add = batcher.add

    def slow(wire: dict[str, Any], *encoded: Any) -> Any:
        if wire["type"] == "metric" and threading.current_thread() is not threading.main_thread():
            wait_until(lambda: writer.is_shutdown)
        return add(wire, *encoded)

    batcher.add = slow  # type: ignore[method-assign]
    writer.drop("span", "sampled_out")
    telling = threading.Thread(target=batcher._report_drops)
    telling.start()
    wait_until(lambda: batcher.carrier.reported)
    writer.shutdown()
    telling.join()
    assert dropped_in_files(tmp_path / "store") == {("span", "sampled_out"): 1}


# -- the application's own code ------------------------------------------------------------------


class Asking:
    """Its text is made with the help of another thread, which records."""

    def __init__(self, writer: ObservabilityWriter) -> None:
        self.writer = writer
        self.waited_in_vain = False

    def __repr__(self) -> str:
        other = threading.Thread(target=log, args=(self.writer, "other"))
        other.start()
        other.join(10)
        self.waited_in_vain |= other.is_alive()
        return "<Asking>"


def test_no_values_own_code_is_run_while_others_cannot_record(make: Make) -> None:
    writer = make()
    asking = Asking(writer)
    event = {"type": "log", "level": "info", "message": "m", "attributes": {"a": asking}}
    writer.record_events([event, event])
    assert not asking.waited_in_vain


def test_no_redaction_of_the_applications_is_run_while_others_cannot_record(make: Make) -> None:
    asked: list[Asking] = []

    def redact(name: str, value: object) -> object:
        if name == "obswriter.event.type":
            asked.append(Asking(writer))
            repr(asked[-1])
        return value

    writer = make(redact=redact)
    log(writer)
    writer.drop("span", "sampled_out")
    writer.flush()
    assert not [asking for asking in asked if asking.waited_in_vain]
