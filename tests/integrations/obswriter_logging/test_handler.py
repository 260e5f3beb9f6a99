"""ObservabilityHandler: what of a log record becomes which part of the event."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import obswriter
import obswriter.testing
from obswriter_logging import ObservabilityHandler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


TASK_NAMES = hasattr(logging.makeLogRecord({}), "taskName")  # since Python 3.12


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.Logger("shop.orders")  # noqa: LOG001 - none that other tests share
    handler = ObservabilityHandler()
    logger.addHandler(handler)
    yield logger
    handler.close()


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (1, "debug"),
        (logging.DEBUG, "debug"),
        (15, "debug"),
        (logging.INFO, "info"),
        (25, "info"),
        (logging.WARNING, "warn"),
        (35, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
        (99, "fatal"),
    ],
)
def test_a_level_between_two_counts_as_the_lower(
    captured: Captured, logger: logging.Logger, number: int, level: str
) -> None:
    logger.log(number, "x")
    assert captured.one("log")["level"] == level


def test_a_level_of_ones_own_keeps_its_name(captured: Captured, logger: logging.Logger) -> None:
    record = logger.makeRecord("n", 25, "f", 1, "x", (), None)
    record.levelname = "NOTICE"
    logger.handle(record)
    assert captured.one("log")["attributes"]["obswriter.level"] == "NOTICE"


def test_the_message_is_formatted_and_extra_becomes_attributes(
    captured: Captured, logger: logging.Logger
) -> None:
    items = {"count": 2}
    logger.info("order %s took %d ms", "A7", 12, extra={"user": "ada", "items": items})
    items["count"] = 3
    event = captured.one("log")
    assert event["message"] == "order A7 took 12 ms"
    assert event["attributes"]["user"] == "ada"
    assert event["attributes"]["items"] == {"count": 2}


def test_where_the_record_comes_from_has_opentelemetrys_names(
    captured: Captured, logger: logging.Logger
) -> None:
    logger.info("x")
    attributes = captured.one("log")["attributes"]
    line = attributes.pop("code.line.number")
    assert "logger.info" in _line_of_this_file(line)
    assert attributes == {
        "logger.name": "shop.orders",
        "code.file.path": __file__,
        "code.function.name": "test_where_the_record_comes_from_has_opentelemetrys_names",
        "process.pid": os.getpid(),
        "thread.id": threading.get_ident(),
        "thread.name": threading.current_thread().name,
    }


def _line_of_this_file(number: int) -> str:
    with open(__file__, encoding="utf-8") as file:
        return file.readlines()[number - 1]


def test_what_logging_was_told_not_to_look_for_is_left_out(
    captured: Captured, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        monkeypatch.setattr(logging, name, False, raising=False)  # one is new in Python 3.12
    logger.info("x")
    attributes = captured.one("log")["attributes"]
    assert not {"thread.id", "thread.name", "process.pid"} & attributes.keys()


def test_an_exception_is_recorded_with_its_stack_trace(
    captured: Captured, logger: logging.Logger
) -> None:
    try:
        {}["missing"]
    except KeyError:
        logger.exception("it failed")
    event = captured.one("log")
    assert event["level"] == "error"
    assert event["message"] == "it failed"
    assert event["attributes"]["exception.type"] == "KeyError"
    assert event["attributes"]["exception.message"] == "'missing'"
    assert '{}["missing"]' in event["attributes"]["exception.stacktrace"]


def test_groups_causes_and_notes_are_in_the_stack_trace(
    captured: Captured, logger: logging.Logger
) -> None:
    cause = KeyError("order")
    cause.add_note("from the old shop")
    try:
        raise ExceptionGroup("two failed", [ValueError("first"), OSError("second")]) from cause
    except ExceptionGroup:
        logger.exception("failed")
    stack = captured.one("log")["attributes"]["exception.stacktrace"]
    for part in ("KeyError: 'order'", "from the old shop", "direct cause", "first", "second"):
        assert part in stack


def test_the_template_and_its_arguments_are_recorded_on_request(captured: Captured) -> None:
    logger = logging.Logger("shop")  # noqa: LOG001 - none that other tests share
    logger.addHandler(ObservabilityHandler(template=True))
    logger.info("order %d of %s", 17, "acme")
    logger.info("%(what)s paid", {"what": "order"})
    logger.info("without arguments")
    logs = [log["attributes"] for log in captured.events("log")]
    assert [log["obswriter.log.template"] for log in logs] == [
        "order %d of %s", "%(what)s paid", "without arguments"
    ]  # fmt: skip
    assert [log.get("obswriter.log.arguments") for log in logs] == [
        [17, "acme"], {"what": "order"}, None
    ]  # fmt: skip


def test_the_task_and_the_process_are_named_where_they_have_a_name(
    captured: Captured, logger: logging.Logger
) -> None:
    async def work() -> None:
        logger.info("in a task")

    async def main() -> None:
        await asyncio.create_task(work(), name="payments")

    asyncio.run(main())
    record = logging.makeLogRecord({"msg": "from a pool", "processName": "ForkPoolWorker-1"})
    record.levelno = logging.INFO
    logger.handle(record)
    in_task = captured.one("log", message="in a task")["attributes"]
    assert in_task.get("obswriter.task.name") == ("payments" if TASK_NAMES else None)
    assert "obswriter.process.name" not in in_task
    from_pool = captured.one("log", message="from a pool")["attributes"]
    assert from_pool["obswriter.process.name"] == "ForkPoolWorker-1"


def test_exc_info_without_an_exception_is_no_exception(
    captured: Captured, logger: logging.Logger
) -> None:
    logger.info("fine", exc_info=(None, None, None))
    assert "exception.type" not in captured.one("log")["attributes"]


def test_a_stack_trace_that_was_formatted_elsewhere_is_kept(captured: Captured) -> None:
    record = logging.makeLogRecord({"msg": "far away", "exc_text": "Traceback: far away"})
    ObservabilityHandler().handle(record)
    stack = captured.one("log")["attributes"]["exception.stacktrace"]
    assert stack == "Traceback: far away"


def test_the_stack_of_the_call_is_recorded_on_request(
    captured: Captured, logger: logging.Logger
) -> None:
    logger.info("x", stack_info=True)
    stack = captured.one("log")["attributes"]["code.stacktrace"]
    assert stack.startswith("Stack (most recent call last):")


def test_the_time_is_that_of_the_record(captured: Captured, logger: logging.Logger) -> None:
    record = logger.makeRecord("n", logging.INFO, "f", 1, "x", (), None)
    record.created = 1_769_169_600.123456
    logger.handle(record)
    assert captured.one("log")["timestamp"] == "2026-01-23T12:00:00.123456Z"


def test_a_record_belongs_to_the_span_it_was_made_in(
    captured: Captured, logger: logging.Logger
) -> None:
    with obswriter.span("checkout") as span:
        logger.info("within")
    logger.info("outside")
    within = captured.one("log", message="within")
    assert (within["traceId"], within["spanId"]) == (span.trace_id, span.id)
    assert "traceId" not in captured.one("log", message="outside")


def test_dictconfig_installs_it_and_its_level_counts(captured: Captured) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "obswriter": {
                    "class": "obswriter_logging.ObservabilityHandler",
                    "level": "WARNING",
                }
            },
            "loggers": {"from_dict": {"handlers": ["obswriter"], "level": "DEBUG"}},
        }
    )
    logger = logging.getLogger("from_dict")
    try:
        logger.info("too quiet")
        logger.warning("loud enough")
    finally:
        logger.removeHandler(logger.handlers[0])
    assert [event["message"] for event in captured.events("log")] == ["loud enough"]


def test_fileconfig_installs_it(captured: Captured, tmp_path: Path) -> None:
    path = tmp_path / "logging.ini"
    path.write_text(
        "[loggers]\nkeys=root,shop\n[handlers]\nkeys=obs\n[formatters]\nkeys=\n"
        "[logger_root]\nhandlers=\n"
        "[logger_shop]\nlevel=INFO\nhandlers=obs\nqualname=from_file\n"
        "[handler_obs]\nclass=obswriter_logging.ObservabilityHandler\nargs=()\n"
    )
    root = list(logging.getLogger().handlers)
    logging.config.fileConfig(path, disable_existing_loggers=False)
    logger = logging.getLogger("from_file")
    try:
        logger.info("x")
    finally:
        logger.removeHandler(logger.handlers[0])
        logging.getLogger().handlers[:] = root
    assert captured.one("log")["message"] == "x"


def test_a_formatter_leaves_the_message_alone(captured: Captured, logger: logging.Logger) -> None:
    logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logger.info("plain")
    assert captured.one("log")["message"] == "plain"


def test_what_a_formatter_of_another_handler_leaves_on_the_record_is_no_attribute(
    captured: Captured, logger: logging.Logger
) -> None:
    other = logging.StreamHandler(sys.stderr)
    other.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.handlers.insert(0, other)
    logger.info("x")
    assert not {"asctime", "message"} & captured.one("log")["attributes"].keys()


def test_a_filter_may_refuse_a_record_or_change_it(
    captured: Captured, logger: logging.Logger
) -> None:
    def choose(record: logging.LogRecord) -> bool:
        record.seen = True
        return record.levelno > logging.INFO

    logger.handlers[0].addFilter(choose)
    logger.info("no")
    logger.warning("yes")
    assert captured.one("log")["attributes"]["seen"] is True


def test_a_disabled_writer_records_nothing(tmp_path: Path, logger: logging.Logger) -> None:
    with obswriter.testing.capture(disabled=True) as captured:
        logger.error("x")
        assert captured.writer.get_stats().recorded["log"] == 0
    assert captured.events() == []
