"""Writers, events and results, as someone who builds on them sees them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type

import obswriter
from obswriter import (
    Event,
    FlushError,
    FlushResult,
    Log,
    Metric,
    ObservabilityWriter,
    ObservabilityWriterConfig,
    Score,
    Span,
    SpanEvent,
    Trace,
    WriterStats,
)

now = datetime.now(UTC)
trace = Trace(name="import", start_time=now, end_time="2026-01-23T12:00:00Z", status="ok", input=1)
span = Span(
    trace_id=trace.id,
    name="row",
    start_time=1_769_169_600_000_000_000,
    end_time=now,
    span_kind="internal",
    attributes={"row": 7},
    events=[SpanEvent(name="skipped"), {"name": "mapping too"}],
)
log = Log(level="info", message="m", recorded_at=now)
metric = Metric(name="rows", value=7, unit="{row}")
score = Score(name="quality", value=0.5, trace_id=trace.id, comment="good")
events: list[Event] = [trace, span, log, metric, score]

Log(level="warning", message="m")  # type: ignore[arg-type]
Log(message="m")  # type: ignore[call-arg]
Metric(name="m", value="7")  # type: ignore[arg-type]
Span(name="s", start_time=1.5, end_time=now, trace_id="t")  # type: ignore[arg-type]


def write(writer: ObservabilityWriter) -> None:
    writer.record_trace(trace)
    writer.record_span(span)
    writer.record_span({"traceId": "t", "name": "s", "startTime": now, "endTime": now})
    writer.record_log(log)
    writer.record_metric(metric)
    writer.record_score(score)
    writer.record_events(event for event in events)
    writer.record_events([log, {"type": "log", "level": "info", "message": "m"}])
    writer.record_span(log)  # type: ignore[arg-type]
    writer.project_id = "other"  # type: ignore[misc]

    result = writer.flush(timeout=1.5)
    assert_type(result, FlushResult)
    assert_type(result.events_written, int)
    for error in result.errors:
        assert_type(error, FlushError)
        assert_type(error.error, Exception)
    stats = writer.get_stats()
    assert_type(stats, WriterStats)
    assert_type(stats.last_flush_at, datetime | None)
    assert_type(stats.recorded["span"], int)
    assert_type(writer.is_shutdown, bool)
    assert_type(writer.shutdown(), FlushResult)


async def write_async(writer: ObservabilityWriter) -> None:
    assert_type(await writer.aflush(timeout=1), FlushResult)
    assert_type(await writer.ashutdown(), FlushResult)


def configure() -> None:
    config = ObservabilityWriterConfig(
        file_storage=Path("/var/lib/telemetry"), project_id="shop", durability="disk"
    )
    assert_type(ObservabilityWriter(config), ObservabilityWriter)
    assert_type(obswriter.configure(project_id="shop", batch_size=7), ObservabilityWriter)
    assert_type(obswriter.get_writer(), ObservabilityWriter)
    assert_type(obswriter.flush(), FlushResult)
    assert_type(obswriter.shutdown(timeout=2), FlushResult)
    ObservabilityWriterConfig(file_storage="x", project_id="p", batch_size="5")  # type: ignore[arg-type]
    ObservabilityWriterConfig(file_storage="x", project_id="p", durability="ram")  # type: ignore[arg-type]


def lines() -> None:
    assert_type(obswriter.serialize_event(log), bytes)
    assert_type(obswriter.serialize_events(events), bytes)
    assert_type(obswriter.estimate_event_size({"type": "log"}), int)
    for found in obswriter.parse_jsonl(b"{}\n"):
        assert_type(found, dict[str, Any])
    list(obswriter.parse_jsonl("{}", on_damaged=lambda number, line: print(number + 1, line[:9])))
