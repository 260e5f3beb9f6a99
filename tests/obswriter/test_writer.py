"""What the writer promises to those who record: every event once, in order, exactly counted."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import obswriter
from obswriter import (
    Log,
    Metric,
    ObservabilityWriter,
    Score,
    Span,
    Trace,
    WriterShutdownError,
    WriterStats,
    parse_file_path,
)
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.wait import wait_until

TIME = "2026-01-23T12:00:00.000123Z"
EVENTS: dict[str, Any] = {
    "trace": Trace(name="t", start_time=TIME, end_time=TIME),
    "span": Span(trace_id="t", name="s", start_time=TIME, end_time=TIME),
    "log": Log(level="info", message="m"),
    "metric": Metric(name="m", value=1.5),
    "score": Score(name="q", value=1),
}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ObservabilityWriter]]:
    made = []

    def make(**options: Any) -> ObservabilityWriter:
        defaults = {"file_storage": tmp_path, "project_id": "shop", "flush_interval_ms": 0}
        made.append(ObservabilityWriter(**{**defaults, **options}))
        return made[-1]

    yield make
    for writer in made:
        writer.shutdown()


def log(writer: ObservabilityWriter, message: str, **fields: Any) -> None:
    writer.record_log(Log(level="info", message=message, **fields))


def assert_adds_up(stats: WriterStats) -> None:
    for type, recorded in stats.recorded.items():
        parts = stats.written[type], stats.buffers_by_type[type], stats.in_flight[type]
        assert recorded == sum(parts) + sum(stats.dropped[type].values())


@pytest.mark.parametrize("type", EVENTS)
def test_each_record_method_stores_its_event_with_type_first_and_recorded_at_last(
    type: str, make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    getattr(writer, f"record_{type}")(EVENTS[type])
    assert writer.flush().events_written == 1
    [event] = stored_events(tmp_path)
    assert next(iter(event)) == "type"
    assert list(event)[-1] == "recordedAt"
    assert event["type"] == type
    assert event["projectId"] == "shop"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["recordedAt"])


@pytest.mark.parametrize("type", EVENTS)
def test_each_record_method_takes_a_mapping_and_refuses_other_events(
    type: str, make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    record = getattr(writer, f"record_{type}")
    wire = EVENTS[type].to_wire("shop", TIME)
    record(wire)
    assert writer.flush().events_written == 1
    assert stored_events(tmp_path) == [wire]
    other = EVENTS["log" if type != "log" else "span"]
    with pytest.raises(TypeError, match=f"a {type} must be a "):
        record(other)
    with pytest.raises(ValueError, match="did you mean"):
        record({**wire, "recordedAtt": TIME})


def test_record_events_takes_several_types_and_keeps_their_order(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    logs = [Log(level="info", message=str(number)) for number in range(5)]
    writer.record_events(
        [*EVENTS.values(), *logs, {"type": "log", "level": "warn", "message": "x"}]
    )
    assert writer.flush().events_written == 11
    assert [e["message"] for e in stored_events(tmp_path, "log")] == ["m", *"01234", "x"]


@pytest.mark.parametrize(
    "bad",
    [{"level": "info", "message": "no type"}, {"type": "log", "level": "loud", "message": "m"}, 7],
)
def test_record_events_is_all_or_nothing(
    bad: Any, make: Callable[..., ObservabilityWriter]
) -> None:
    writer = make()
    with pytest.raises((ValueError, TypeError)):
        writer.record_events([EVENTS["log"], EVENTS["span"], bad])
    assert writer.get_stats().total_events_buffered == 0


def test_an_event_keeps_its_own_recorded_at_and_project(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    log(writer, "imported", project_id="other", recorded_at=TIME)
    writer.record_events([{"type": "log", "level": "info", "message": "i2", "recordedAt": TIME}])
    writer.flush()
    assert [event["recordedAt"] for event in stored_events(tmp_path)] == [TIME, TIME]
    assert len(list(tmp_path.glob("observability/log/other/*.jsonl"))) == 1
    assert len(list(tmp_path.glob("observability/log/shop/*.jsonl"))) == 1


def test_a_project_that_would_leave_the_store_is_refused_at_the_call(
    make: Callable[..., ObservabilityWriter],
) -> None:
    writer = make()
    for project in ("../etc", "a/b", ".hidden", "", "processed", "x" * 129):
        with pytest.raises(ValueError, match="project_id must be"):
            writer.record_log({"level": "info", "message": "m", "projectId": project})


def test_what_the_caller_changes_later_does_not_change_the_file(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    attributes = {"list": [1]}
    log(writer, "m", attributes=attributes)
    attributes["list"].append(2)
    writer.flush()
    assert stored_events(tmp_path)[0]["attributes"] == {"list": [1]}


def test_a_full_batch_is_stored_without_being_asked(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(batch_size=3)
    for number in range(7):
        log(writer, str(number))
    wait_until(lambda: writer.get_stats().total_files_written == 2)
    assert writer.get_stats().buffers_by_type["log"] == 1
    assert [e["message"] for e in stored_events(tmp_path)] == list("012345")


def test_a_file_is_stored_when_the_flush_interval_is_over(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(flush_interval_ms=20)
    for text in ("a", "b"):
        log(writer, text)
        wait_until(lambda text=text: [e["message"] for e in stored_events(tmp_path)][-1:] == [text])
    wait_until(lambda: writer.get_stats().total_files_written == 2)


def test_without_a_timer_nothing_is_stored_until_asked(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(flush_interval_ms=0)
    log(writer, "a")
    wait_until(lambda: list(tmp_path.rglob("*.open")))
    assert list(tmp_path.rglob("*.jsonl")) == []
    writer.flush()
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1


def test_no_file_is_longer_than_its_limit_unless_one_event_is(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(max_file_size=2000)
    for number in range(50):
        log(writer, f"{number:04d}" + "x" * 300)
    log(writer, "long" + "y" * 5000)
    log(writer, "last")
    writer.shutdown()
    files = sorted(tmp_path.rglob("*.jsonl"))
    long = [file for file in files if file.stat().st_size > 2000]
    assert len(long) == 1
    assert long[0].read_bytes().count(b"\n") == 1
    assert len(stored_events(tmp_path)) == 52
    assert [e["message"][:4] for e in stored_events(tmp_path)][-2:] == ["long", "last"]


def test_a_file_larger_than_one_window_is_whole(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(batch_size=10_000)
    for number in range(3000):
        log(writer, f"{number}:" + "x" * 700)
    log(writer, "3000:" + "y" * 900_000)
    log(writer, "3001:")
    assert writer.flush().files_written == 1
    numbers = [int(event["message"].split(":")[0]) for event in stored_events(tmp_path)]
    assert numbers == list(range(3002))


def test_several_flushes_make_several_files_whose_names_sort_in_their_order(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    for number in range(5):
        log(writer, str(number))
        writer.flush()
    files = sorted(tmp_path.rglob("*.jsonl"))
    assert len(files) == 5
    assert all(parse_file_path(file.relative_to(tmp_path).as_posix()) for file in files)
    assert [e["message"] for e in stored_events(tmp_path)] == list("01234")


def test_flushing_nothing_makes_no_file_and_no_directory(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    assert make().flush() == obswriter.FlushResult()
    assert list(tmp_path.iterdir()) == []


def test_after_shutdown_events_are_refused_and_nothing_is_left_behind(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    log(writer, "a")
    assert not writer.is_shutdown
    assert writer.shutdown().events_written == 1
    assert writer.is_shutdown
    with pytest.raises(WriterShutdownError, match=r"^Cannot add events after shutdown$"):
        log(writer, "b")
    with pytest.raises(WriterShutdownError):
        writer.record_events([])
    assert writer.shutdown() == obswriter.FlushResult()
    assert list(tmp_path.rglob("*.open")) == []
    assert not any(thread.name == "obswriter" for thread in threading.enumerate())


def test_two_shutdowns_and_flushes_at_once_are_safe(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make()
    for number in range(100):
        log(writer, str(number))
    calls = [writer.shutdown, writer.flush, writer.shutdown, writer.flush]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored_events(tmp_path)) == 100


def test_a_disabled_writer_takes_everything_and_writes_nothing(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(disabled=True)
    log(writer, "a")
    writer.record_events([EVENTS["span"]])
    assert writer.flush() == obswriter.FlushResult()
    assert sum(writer.get_stats().recorded.values()) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_json_lacks_is_repaired_counted_and_costs_no_other_event(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    writer = make()
    log(writer, "good")
    log(writer, "bad", attributes={"x": Hostile(), "y": {1, 2}, 3: "\ud800"})
    log(writer, "good again")
    assert writer.flush().events_written == 3
    bad = stored_events(tmp_path)[1]["attributes"]
    assert bad == {"x": "<unprintable Hostile>", "y": [1, 2], "3": "\\ud800"}
    assert writer.get_stats().repaired == 1


def test_an_event_over_the_limit_is_cut_and_kept(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(max_event_size=2048)
    log(writer, "m" * 100_000, id="mine")
    writer.flush()
    [event] = stored_events(tmp_path)
    assert event["id"] == "mine"
    assert "cut" in event["message"]
    assert next(tmp_path.rglob("*.jsonl")).stat().st_size <= 2048


def test_an_event_without_ids_belongs_to_the_current_span(
    make: Callable[..., ObservabilityWriter], captured: obswriter.testing.Captured, tmp_path: Path
) -> None:
    writer = make()
    with obswriter.span("s") as span:
        log(writer, "inside")
        log(writer, "own ids", trace_id="mine")
    log(writer, "outside")
    writer.flush()
    inside, own, outside = stored_events(tmp_path)
    assert (inside["traceId"], inside["spanId"]) == (span.trace_id, span.id)
    assert list(inside)[-1] == "recordedAt"
    assert own["traceId"] == "mine"
    assert "spanId" not in own
    assert "traceId" not in outside


def test_async_flush_and_shutdown_do_the_same(
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    async def main() -> None:
        writer = make()
        log(writer, "a")
        assert (await writer.aflush(timeout=10)).events_written == 1
        log(writer, "b")
        assert (await writer.ashutdown(timeout=10)).events_written == 1

    asyncio.run(main())
    assert len(stored_events(tmp_path)) == 2


def test_threads_tasks_and_flushes_at_once_lose_nothing_and_counts_add_up(  # noqa: C901 (actors)
    make: Callable[..., ObservabilityWriter], tmp_path: Path
) -> None:
    writer = make(batch_size=100, flush_interval_ms=10, max_file_size=20_000)
    done = threading.Event()
    acknowledged = [0] * 8

    def look() -> None:
        while not done.is_set():
            least = sum(acknowledged)
            stats = writer.get_stats()
            assert_adds_up(stats)
            assert stats.recorded["log"] >= least

    def work(name: int) -> None:
        for number in range(2000):
            log(writer, f"{name}:{number}")
            acknowledged[name] += 1
            if number % 500 == 499:
                assert writer.flush().errors == []

    async def task(name: int) -> None:
        for number in range(2000):
            log(writer, f"{name}:{number}")
            acknowledged[name] += 1
            if number % 100 == 0:
                await asyncio.sleep(0)

    async def tasks() -> None:
        await asyncio.gather(task(6), task(7))

    looker = threading.Thread(target=look)
    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    threads.append(threading.Thread(target=lambda: asyncio.run(tasks())))
    looker.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    looker.join()
    writer.shutdown()
    stats = writer.get_stats()
    assert_adds_up(stats)
    assert stats.recorded["log"] == stats.total_events_written == 16_000
    by_name: dict[str, list[int]] = {}
    for event in stored_events(tmp_path, "log"):
        name, number = event["message"].split(":")
        by_name.setdefault(name, []).append(int(number))
    assert by_name == {str(name): list(range(2000)) for name in range(8)}


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 5000), max_size=60),
    batch_size=st.integers(1, 20),
    max_file_size=st.integers(1, 20_000),
    flushes=st.sets(st.integers(0, 60)),
)
def test_whatever_the_limits_and_sizes_every_event_is_stored_once_and_in_order(
    sizes: list[int],
    batch_size: int,
    max_file_size: int,
    flushes: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("store")
    writer = ObservabilityWriter(
        file_storage=root,
        project_id="p",
        batch_size=batch_size,
        max_file_size=max_file_size,
        flush_interval_ms=0,
    )
    for number, size in enumerate(sizes):
        log(writer, f"{number}:" + "x" * size)
        if number in flushes:
            writer.flush()
    writer.shutdown()
    assert [int(e["message"].split(":")[0]) for e in stored_events(root)] == list(range(len(sizes)))
    for file in root.rglob("*.jsonl"):
        lines = file.read_bytes().count(b"\n")
        assert lines <= batch_size
        assert file.stat().st_size <= max_file_size or lines == 1
