"""What users of other log handlers reported, and what happens here instead."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_logging import ObservabilityHandler
from obswriter_testsupport.faults import run, stored_events

if TYPE_CHECKING:
    from pathlib import Path

    from obswriter.testing import Captured


class Down(obswriter.LocalStorage):
    """A store that logs that it cannot be reached, each time it is asked."""

    destination = "down"

    def write(self, path: str, data: bytes) -> None:
        logging.getLogger("grpc").error("the store is unavailable")
        raise ConnectionError("unavailable")

    put_file = write  # type: ignore[assignment]


@pytest.fixture
def root() -> Any:
    logger, handler = logging.getLogger(), ObservabilityHandler()
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_a_store_that_is_down_and_logs_that_makes_no_loop(
    root: logging.Logger, tmp_path: Path
) -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/2701 and its sequel
    https://github.com/open-telemetry/opentelemetry-python/issues/4688, likewise
    https://github.com/open-telemetry/opentelemetry-python/issues/4261,
    https://github.com/open-telemetry/opentelemetry-python/issues/4323 and
    https://github.com/pydantic/logfire/pull/35
    """
    from obswriter import process

    writer = obswriter.ObservabilityWriter(
        file_storage=Down(tmp_path), project_id="p", spool_dir=tmp_path, retry_initial_ms=1
    )
    before = process.exchange(writer)
    try:
        root.warning("one")
        for _ in range(3):
            assert [error.event_count for error in writer.flush().errors] == [1]
        assert writer.get_stats().recorded["log"] == 1
    finally:
        process.exchange(before)
        writer.shutdown(0)


def test_a_value_that_cannot_be_recorded_as_it_is_blocks_no_thread(
    root: logging.Logger, captured: Captured
) -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/3858: a warning about an
    attribute came back to the handler, whose lock was held."""
    root.warning("paid", extra={"order": object(), "who": {1: {2, 3}}})
    attributes = captured.one("log")["attributes"]
    assert attributes["order"].startswith("<object object")
    assert attributes["who"]["1"] in ([2, 3], [3, 2])


def test_logging_after_the_shutdown_makes_no_noise_and_is_counted(
    root: logging.Logger, captured: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/3625"""
    captured.writer.shutdown()
    root.warning("late")
    assert captured.writer.get_stats().dropped["log"] == {"shutdown": 1}
    assert capfd.readouterr().err == ""


def test_logging_while_the_interpreter_ends_is_recorded_without_a_word(tmp_path: Path) -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/4585"""
    script = """
import atexit, logging
from obswriter_logging import ObservabilityHandler
def last_words():
    logging.getLogger("shop").warning("in atexit")
atexit.register(last_words)
logging.getLogger().addHandler(ObservabilityHandler())
logging.getLogger("shop").warning("in main")
atexit.register(last_words)
"""
    outcome = run(script, tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    messages = [event["message"] for event in stored_events(tmp_path, "log")]
    assert messages == ["in main", "in atexit", "in atexit"]


def test_recording_turned_off_leaves_logging_alone(
    root: logging.Logger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/4255"""
    from obswriter import process

    writer = obswriter.ObservabilityWriter(file_storage=tmp_path, project_id="p", disabled=True)
    before = process.exchange(writer)
    try:
        root.warning("one")
    finally:
        process.exchange(before)
    assert caplog.messages == ["one"]
    assert list(tmp_path.iterdir()) == []
