"""Spans: the floor, obswriter's, and OpenTelemetry's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns
from typing import Any

from workload import ATTRIBUTES, SPAN_NAME, Workload, count_in_files

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
OPENTELEMETRY_BATCH = 512
PARENT_ID = "b7ad6b7169203331"
START, END = "2026-01-23T12:00:00.000123Z", "2026-01-23T12:00:00.000456Z"


# -- one ready span --------------------------------------------------------------------------


def floor(folder: str) -> Workload:
    """What no writer of JSON lines can do without: the dict, the time of recording, the bytes."""
    import orjson

    dumps, option = orjson.dumps, orjson.OPT_APPEND_NEWLINE

    def work(count: int) -> None:
        second, prefix = 0, ""
        for _ in range(count):
            now, rest = divmod(time_ns(), 1_000_000_000)
            if now != second:
                second, prefix = now, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S}."
            wire = {
                "type": "span",
                "id": SPAN_ID,
                "traceId": TRACE_ID,
                "parentSpanId": PARENT_ID,
                "projectId": "bench",
                "name": SPAN_NAME,
                "startTime": START,
                "endTime": END,
                "status": "ok",
                "spanKind": "server",
                "attributes": ATTRIBUTES,
                "recordedAt": f"{prefix}{rest // 1000:06d}Z",
            }
            dumps(wire, None, option)

    return Workload(work)


def ready_span(folder: str, **options: Any) -> Workload:
    """`writer.record_span()` of a `Span` made before."""
    import obswriter

    writer = obswriter.ObservabilityWriter(
        **{"file_storage": folder, "project_id": "bench", **options}
    )
    span = obswriter.Span(
        id=SPAN_ID,
        trace_id=TRACE_ID,
        parent_span_id=PARENT_ID,
        project_id="bench",
        name=SPAN_NAME,
        start_time=START,
        end_time=END,
        status="ok",
        span_kind="server",
        attributes=ATTRIBUTES,
    )

    def work(count: int) -> None:
        record = writer.record_span
        for _ in range(count):
            record(span)

    return Workload(work, writer.flush, count_in_files(folder))


class RefusingStorage:
    """A store that is down."""

    def write(self, path: str, data: bytes) -> None:
        raise OSError("the store is down")

    def read(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def list(self, prefix: str = "") -> list[Any]:
        return []

    def delete(self, path: str) -> None:
        raise OSError("the store is down")

    def move(self, source: str, destination: str) -> None:
        raise OSError("the store is down")

    def exists(self, path: str) -> bool:
        return False


def ready_span_refused(folder: str) -> Workload:
    """The same, with a store that takes nothing: the backlog grows to its bound on the disk."""
    return ready_span(
        folder, file_storage=RefusingStorage(), spool_dir=folder, max_spool_bytes=64 * 1024 * 1024
    )


# -- with span() -----------------------------------------------------------------------------


def obswriter_children(folder: str) -> Workload:
    """Spans below one that is open all the time."""
    import obswriter

    obswriter.configure(file_storage=folder, project_id="bench")
    obswriter.span("root").__enter__()
    return Workload(_spans(obswriter.span), obswriter.flush, count_in_files(folder))


def obswriter_roots(folder: str) -> Workload:
    """Spans without a parent: each writes a trace event too."""
    import obswriter

    obswriter.configure(file_storage=folder, project_id="bench")
    return Workload(_spans(obswriter.span), obswriter.flush, count_in_files(folder), per_piece=2)


def start_marks(folder: str) -> Workload:
    """The evidence that a local root leaves while it goes on: set and cleared again."""
    import obswriter

    writer = obswriter.ObservabilityWriter(file_storage=folder, project_id="bench")
    wire = {
        "type": "span",
        "id": SPAN_ID,
        "traceId": TRACE_ID,
        "projectId": "bench",
        "name": SPAN_NAME,
        "startTime": START,
        "endTime": START,
        "status": "unset",
        "spanKind": "server",
        "attributes": ATTRIBUTES,
        "recordedAt": START,
    }

    def work(count: int) -> None:
        for _ in range(count):
            mark = writer.mark(wire)
            assert mark is not None
            mark[0].clear(mark[1])

    return Workload(work)


def opentelemetry(folder: str) -> tuple[Any, Any]:
    """Return OpenTelemetry's provider, exporting into a file as JSON, and a tracer of it."""
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The default queue of 2,048 drops what comes faster than it is exported.
    exporter = FileSpanExporter(f"{folder}/spans.jsonl")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=1_000_000))
    return provider, provider.get_tracer("bench")


def opentelemetry_children(folder: str) -> Workload:
    """OpenTelemetry's spans below one that is open all the time."""
    provider, tracer = opentelemetry(folder)
    tracer.start_as_current_span("root").__enter__()
    work = _spans(tracer.start_as_current_span)
    return Workload(work, provider.force_flush, count_exported(folder))


def opentelemetry_unhurried(folder: str) -> Workload:
    """The same where no queue builds up: the loop waits for each batch to be exported."""
    children = opentelemetry_children(folder)

    def work(count: int) -> None:
        for done in range(0, count, OPENTELEMETRY_BATCH):
            children.work(min(OPENTELEMETRY_BATCH, count - done))
            children.flush()

    return Workload(work, stored=children.stored)


def opentelemetry_roots(folder: str) -> Workload:
    """OpenTelemetry's spans without a parent."""
    provider, tracer = opentelemetry(folder)
    work = _spans(tracer.start_as_current_span)
    return Workload(work, provider.force_flush, count_exported(folder))


def _spans(span: Any) -> Callable[[int], None]:
    def work(count: int) -> None:
        for _ in range(count):
            with span(SPAN_NAME, attributes=ATTRIBUTES):
                pass

    return work


def count_exported(folder: str) -> Callable[[], int]:
    return count_in_files(folder, b'"spanId":')


WORKLOADS = {
    "floor": floor,
    "ready span": ready_span,
    "ready span, store down": ready_span_refused,
    "child spans": obswriter_children,
    "root spans": obswriter_roots,
    "start marks": start_marks,
    "opentelemetry child spans": opentelemetry_children,
    "opentelemetry child spans, unhurried": opentelemetry_unhurried,
    "opentelemetry root spans": opentelemetry_roots,
}
