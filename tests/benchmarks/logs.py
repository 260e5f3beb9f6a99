"""Log calls with an extra, made within a span: without anything, with obswriter, with peers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from workload import Workload, count_in_files

TRACE = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}


class _JsonFormatter(logging.Formatter):
    """Says what obswriter's handler says, and leaves looking for extras out, as it is cheaper."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "path": record.pathname,
            "line": record.lineno,
            "function": record.funcName,
            "process": record.process,
            "thread": record.thread,
            "thread_name": record.threadName,
            "order": record.__dict__["order"],
            **TRACE,
        }
        return json.dumps(fields)


def bare_log(folder: str) -> Workload:
    """A log record that goes nowhere."""
    return _log_work(logging.NullHandler())


def obswriter_log(folder: str) -> Workload:
    """A log record through obswriter's handler."""
    import obswriter
    from obswriter_logging import ObservabilityHandler

    obswriter.configure(file_storage=folder, project_id="bench")
    log = _log_work(ObservabilityHandler()).work

    def work(count: int) -> None:
        with obswriter.span("checkout"):
            log(count)

    return Workload(work, obswriter.flush, count_in_files(folder, b'"message":'))


def stdlib_log(folder: str) -> Workload:
    """A log record through the standard library's file handler, formatted as JSON."""
    handler = logging.FileHandler(f"{folder}/log.jsonl")
    handler.setFormatter(_JsonFormatter())
    return Workload(_log_work(handler).work, handler.flush, count_in_files(folder))


def _log_work(handler: logging.Handler) -> Workload:
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)

    def work(count: int) -> None:
        for number in range(count):
            logger.info("order %d was paid", number, extra={"order": number})

    return Workload(work)


def structlog_log(folder: str, *more: Any) -> Workload:
    """An event of structlog as its documentation has it for speed: orjson, bytes to a file."""
    import orjson
    import structlog

    file = open(f"{folder}/log.jsonl", "wb")  # noqa: SIM115 (open as long as the process)
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            *more,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=file),
    )
    logger = structlog.get_logger()
    structlog.contextvars.bind_contextvars(**TRACE)

    def work(count: int) -> None:
        for number in range(count):
            logger.info("order %d was paid", number, order=number)

    return Workload(work, file.flush, count_in_files(folder))


def structlog_with_place(folder: str) -> Workload:
    """The same with what records of the standard library, and so ours, say of their origin."""
    from structlog.processors import CallsiteParameter as Parameter
    from structlog.processors import CallsiteParameterAdder

    place = [Parameter.PATHNAME, Parameter.LINENO, Parameter.FUNC_NAME]
    thread = [Parameter.PROCESS, Parameter.THREAD, Parameter.THREAD_NAME]
    return structlog_log(folder, CallsiteParameterAdder([*place, *thread]))


WORKLOADS: dict[str, Callable[[str], Workload]] = {
    "bare log call": bare_log,
    "log call": obswriter_log,
    "stdlib log call": stdlib_log,
    "structlog log call": structlog_log,
    "structlog log call, with its place": structlog_with_place,
}
