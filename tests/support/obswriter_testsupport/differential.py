"""The same requests through OpenTelemetry and through obswriter: what differs, and is it meant?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obswriter.testing import Captured

ABSENT = "absent"
SECONDS = "seconds"
CALLER = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{CALLER}-b7ad6b7169203331-01"

Seen = dict[str, Any]
"""A server span: name, kind, status, exceptions, parent, what is below it, and its attributes."""


@dataclass(frozen=True)
class Intended:
    """A difference that is meant, with its reason and the names of the requests that show it."""

    field: str
    theirs: Any
    ours: Any
    reason: str
    on: str = "*"


@contextmanager
def opentelemetry(monkeypatch: pytest.MonkeyPatch, instrumentation: str) -> Iterator[Any]:
    """Provide a tracer provider with an exporter in memory, as ``provider.exporter``.

    Skip where *instrumentation* is not installed.
    """
    for name in ("opentelemetry.sdk", "opentelemetry.instrumentation", instrumentation):
        pytest.importorskip(name, reason=f"obswriter is compared with {name}, which is missing")
    from opentelemetry.instrumentation import _semconv
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    # It reads the variable only once in a process.
    conventions = _semconv._OpenTelemetrySemanticConventionStability
    monkeypatch.setattr(conventions, "_initialized", False)
    provider: Any = TracerProvider(shutdown_on_exit=False)
    provider.exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(provider.exporter))
    yield provider
    provider.shutdown()


def their_span(provider: Any) -> Seen | None:
    """Return the server span that OpenTelemetry recorded since the last call."""
    spans = provider.exporter.get_finished_spans()
    provider.exporter.clear()
    return _one(
        {
            "name": span.name,
            "kind": span.kind.name.lower(),
            "trace": f"{span.context.trace_id:032x}",
            "parent": f"{span.parent.span_id:016x}" if span.parent else None,
            "status": span.status.status_code.name.lower(),
            "exceptions": [event.attributes for event in span.events],
            **span.attributes,
        }
        for span in spans
    )


def our_span(captured: Captured) -> Seen | None:
    """Return the server span that obswriter recorded."""
    return _one(
        {
            "name": span["name"],
            "kind": span["spanKind"],
            "trace": span["traceId"],
            "parent": span.get("parentSpanId"),
            "status": span["status"],
            "exceptions": [event["attributes"] for event in span.get("events", ())],
            **span.get("attributes", {}),
        }
        for span in captured.events("span")
    )


def _one(spans: Iterable[Seen]) -> Seen | None:
    """Return the server span with the names of the others, and nothing that is new each time."""
    found = list(spans)
    server = next((span for span in found if span["kind"] == "server"), None)
    if server is None:
        return None
    server = {key: SECONDS if type(value) is float else value for key, value in server.items()}
    server["trace"] = "the caller's" if server["trace"] == CALLER else "new"
    server["exceptions"] = [_exception(event) for event in server["exceptions"]]
    server["below"] = [span["name"] for span in found if span["kind"] != "server"]
    return server


def _exception(event: dict[str, Any]) -> tuple[str, str, bool]:
    return (
        event["exception.type"].rpartition(".")[2],
        event["exception.message"],
        "Traceback" in event["exception.stacktrace"],
    )


def differences(request: str, theirs: Seen | None, ours: Seen | None) -> dict[Any, Any]:
    """Return what is not the same, by request and field, as pairs of theirs and ours."""
    if theirs is None or ours is None:
        theirs, ours = {"recorded": theirs is not None}, {"recorded": ours is not None}
    pairs = {key: (theirs.get(key, ABSENT), ours.get(key, ABSENT)) for key in theirs | ours}
    return {(request, key): pair for key, pair in pairs.items() if pair[0] != pair[1]}


def expected(intended: Iterable[Intended], requests: Iterable[str]) -> dict[Any, Any]:
    """Return the differences that are meant, in the same form; ``on="*"`` are all *requests*."""
    found: dict[Any, Any] = {}
    for each in intended:
        for request in requests if each.on == "*" else each.on.split():
            assert (request, each.field) not in found, f"{each.field} of {request} is there twice"
            found[request, each.field] = each.theirs, each.ours
    return found
