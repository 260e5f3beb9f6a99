"""TraceContextFilter: records keep their span on the way to another thread."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import logging.config
import logging.handlers
import queue
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

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
    """pydantic/logfire#1002: Logs not captured in correct span when using Logfire handler with
    QueueHandler
    """
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


def test_a_stack_trace_comes_through_a_queue(captured: Captured) -> None:
    logger, listener = logger_behind_a_queue()
    listener.start()
    try:
        raise LookupError("no such order")
    except LookupError:
        logger.exception("failed")
    listener.stop()
    # QueueHandler makes it part of the message, lest it be pickled.
    assert captured.one("log")["message"].endswith("LookupError: no such order")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig makes listeners since 3.12")
def test_dictconfig_puts_it_behind_a_queue(captured: Captured) -> None:
    handlers = {
        "obswriter": {"class": "obswriter_logging.ObservabilityHandler"},
        "queue": {
            "class": "logging.handlers.QueueHandler",
            "handlers": ["obswriter"],
            "filters": ["trace"],
        },
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"trace": {"()": "obswriter_logging.TraceContextFilter"}},
            "handlers": handlers,
            "loggers": {"queued": {"handlers": ["queue"], "level": "INFO"}},
        }
    )
    logger = logging.getLogger("queued")
    handler: Any = logger.handlers[0]
    handler.listener.start()
    with obswriter.span("checkout") as span:
        logger.info("within")
    handler.listener.stop()
    logger.removeHandler(handler)
    handler.close()
    assert captured.one("log")["spanId"] == span.id


def test_a_record_of_another_thread_belongs_to_the_span_whose_context_was_copied(
    captured: Captured,
) -> None:
    logger = logging.Logger("threads")  # noqa: LOG001 - none that other tests share
    logger.addHandler(ObservabilityHandler())

    async def main() -> None:
        with obswriter.span("async"):
            await asyncio.to_thread(logger.info, "to_thread")

    with obswriter.span("copied"), ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, logger.info, "copy").result()
        pool.submit(logger.info, "without").result()
    asyncio.run(main())
    for name, message in (("copied", "copy"), ("async", "to_thread")):
        span = captured.one("span", name=name)
        assert captured.one("log", message=message)["spanId"] == span["id"]
    assert "traceId" not in captured.one("log", message="without")


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
