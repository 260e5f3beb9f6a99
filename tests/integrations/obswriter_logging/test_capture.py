"""Warnings and uncaught exceptions as events, each by one call."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_logging import (
    ObservabilityHandler,
    capture_asyncio_exceptions,
    capture_thread_exceptions,
    capture_uncaught_exceptions,
    capture_warnings,
)
from obswriter_testsupport.faults import run, stored_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


@pytest.fixture
def root_handler() -> Iterator[None]:
    """As most who call these functions have it: what is logged besides must not come twice."""
    handler = ObservabilityHandler()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@pytest.mark.usefixtures("root_handler")
def test_a_warning_is_recorded_once_and_shown_still(captured: Captured) -> None:
    shown: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *arguments: shown.append(arguments)
        undo = capture_warnings()
        warnings.warn("is old", DeprecationWarning, stacklevel=1)
        undo()
        warnings.warn("after", stacklevel=1)
    log = captured.one("log")
    assert (log["level"], log["message"]) == ("warn", "is old")
    attributes = log["attributes"]
    assert attributes["logger.name"] == "py.warnings"
    assert attributes["obswriter.warning.category"] == "DeprecationWarning"
    assert attributes["code.file.path"] == __file__
    assert isinstance(attributes["code.line.number"], int)
    assert [str(arguments[0]) for arguments in shown] == ["is old", "after"]


@pytest.mark.usefixtures("root_handler")
def test_with_logging_capturing_warnings_too_there_is_one_event(captured: Captured) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        undo = capture_warnings()
        try:
            warnings.warn("once", stacklevel=1)
        finally:
            undo()
            logging.captureWarnings(capture=False)
    assert captured.one("log")["message"] == "once"


def test_an_exception_that_ends_a_thread_is_recorded_and_printed_still(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def fail(error: BaseException) -> None:
        raise error

    undo = capture_thread_exceptions()
    for error in (ValueError("paid twice"), SystemExit()):
        thread = threading.Thread(target=fail, args=(error,), name="payments")
        thread.start()
        thread.join()
    undo()
    log = captured.one("log")
    assert (log["level"], log["message"]) == ("error", "ValueError: paid twice")
    assert log["attributes"]["thread.name"] == "payments"
    assert log["attributes"]["exception.type"] == "ValueError"
    assert "in fail" in log["attributes"]["exception.stacktrace"]
    assert seen[0].exc_type is ValueError
    assert threading.excepthook == seen.append


@pytest.mark.usefixtures("root_handler")
@pytest.mark.parametrize("others", [False, True])
def test_a_task_nobody_waited_for_is_recorded_once(captured: Captured, others: bool) -> None:
    seen: list[Any] = []

    async def fail() -> None:
        raise LookupError("no such order")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if others:
            loop.set_exception_handler(lambda _, details: seen.append(details))
        undo = capture_asyncio_exceptions()
        task = asyncio.create_task(fail(), name="payments")
        await asyncio.wait([task])
        del task  # asyncio reports it when nobody can ask for the exception any more
        undo()
        assert (loop.get_exception_handler() is not None) == others

    asyncio.run(main())
    log = captured.one("log")
    assert (log["level"], log["message"]) == ("error", "LookupError: no such order")
    assert log["attributes"]["obswriter.task.name"] == "payments"
    assert log["attributes"]["exception.type"] == "LookupError"
    assert len(seen) == others


def test_what_the_loop_reports_without_an_exception_is_its_message(captured: Captured) -> None:
    loop = asyncio.new_event_loop()
    capture_asyncio_exceptions(loop)
    loop.call_exception_handler({"message": "slow"})
    loop.close()
    assert captured.one("log")["message"] == "slow"


def test_the_exception_that_ends_the_process_is_recorded_and_the_status_stays(
    tmp_path: Path,
) -> None:
    script = """
from obswriter_logging import capture_uncaught_exceptions
obswriter.configure()
capture_uncaught_exceptions()
raise LookupError("no such order") from ValueError("the cause")
"""
    outcome = run(script, tmp_path)
    assert outcome.status == 1
    assert "LookupError: no such order" in outcome.stderr
    [log] = stored_events(tmp_path, "log")
    assert (log["level"], log["message"]) == ("fatal", "LookupError: no such order")
    assert "ValueError: the cause" in log["attributes"]["exception.stacktrace"]


def test_ctrl_c_is_no_event(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: seen.append(arguments))
    undo = capture_uncaught_exceptions()
    error = KeyboardInterrupt()
    sys.excepthook(KeyboardInterrupt, error, None)
    undo()
    assert captured.events("log") == []
    assert seen == [(KeyboardInterrupt, error, None)]


def test_who_hooks_in_later_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    undo = capture_uncaught_exceptions()

    def later(*_: Any) -> None: ...

    monkeypatch.setattr(sys, "excepthook", later)
    undo()
    assert sys.excepthook is later
