"""TraceContextFilter: records keep their span on the way to another thread."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from typing import TYPE_CHECKING

import pytest

import obswriter
from obswriter_logging import ObservabilityHandler, TraceContextFilter

if TYPE_CHECKING:
    from obswriter.testing import Captured


def logger_behind_a_queue() -> tuple[logging.Logger, logging.handlers.QueueListener]:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(records)
    handler.addFilter(TraceContextFilter())
    logger = logging.Logger("queued")  # noqa: LOG001 - none that other tests share
    logger.addHandler(handler)
    return logger, logging.handlers.QueueListener(records, ObservabilityHandler())


def test_a_record_behind_a_queue_belongs_to_the_span_it_was_made_in(captured: Captured) -> None:
    logger, listener = logger_behind_a_queue()
    listener.start()
    with obswriter.span("checkout") as span:
        logger.info("within %s", "span")
    logger.info("outside")
    listener.stop()
    within = captured.one("log", message="within span")
    assert (within["traceId"], within["spanId"]) == (span.trace_id, span.id)
    assert not {"trace_id", "span_id"} & within["attributes"].keys()
    outside = captured.one("log", message="outside")
    assert "traceId" not in outside
    assert not {"trace_id", "span_id"} & outside["attributes"].keys()


def test_other_handlers_formats_may_name_the_ids() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    TraceContextFilter().filter(record)
    assert logging.Formatter("[%(trace_id)s %(span_id)s] %(message)s").format(record) == "[ ] x"


def test_the_first_span_noted_counts(captured: Captured) -> None:
    record = logging.makeLogRecord({"msg": "x"})
    with obswriter.span("first") as first:
        TraceContextFilter().filter(record)
    with obswriter.span("second"):
        TraceContextFilter().filter(record)
        ObservabilityHandler().handle(record)
    assert captured.one("log")["spanId"] == first.id


@pytest.mark.parametrize("trace_id", ["payment-17", 17, None, "A" * 32])
def test_a_trace_id_of_another_kind_stays_an_attribute(
    captured: Captured, trace_id: object
) -> None:
    with obswriter.span("checkout") as span:
        record = logging.makeLogRecord({"msg": "x", "trace_id": trace_id, "span_id": "7"})
        ObservabilityHandler().handle(record)
    event = captured.one("log")
    assert event["traceId"] == span.trace_id
    assert event["attributes"]["trace_id"] == trace_id
