"""The aid for users' own tests: what did the code under test record?"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

import obswriter
from obswriter.testing import Captured, capture


def test_what_is_recorded_within_is_found() -> None:
    with capture() as captured:
        with obswriter.span("checkout"):
            obswriter.metric("total", 7)
        assert captured.one("span")["name"] == "checkout"
        assert captured.one("metric", name="total")["value"] == 7
        assert {event["type"] for event in captured.events()} == {"span", "trace", "metric"}


def test_events_are_picked_by_type_and_fields(captured: Captured) -> None:
    for number in range(3):
        obswriter.log("info" if number else "warn", str(number))
    assert [log["message"] for log in captured.events("log", level="info")] == ["1", "2"]
    assert captured.events("log", level="fatal") == []
    assert captured.events("span") == []


def test_events_are_in_the_order_they_were_recorded(captured: Captured) -> None:
    for number in range(50):
        obswriter.log("info", str(number))
        if number % 10 == 0:
            captured.writer.flush()
    assert [log["message"] for log in captured.events("log")] == [str(n) for n in range(50)]


@pytest.mark.parametrize("count", [0, 2])
def test_not_exactly_one_is_an_error_that_shows_what_there_is(
    captured: Captured, count: int
) -> None:
    for _ in range(count):
        obswriter.log("info", "twin")
    obswriter.log("info", "other")
    expected = f"{count} log events with {{'message': 'twin'}}; recorded: "
    with pytest.raises(AssertionError, match=re.escape(expected)) as caught:
        captured.one("log", message="twin")
    assert "'message': 'other'" in str(caught.value)


def test_the_writer_before_is_back_afterwards_and_got_none_of_it(tmp_path: Path) -> None:
    before = obswriter.configure(
        replace=True, file_storage=str(tmp_path), project_id="mine", flush_interval_ms=0
    )
    try:
        with capture():
            obswriter.log("info", "within")
        with pytest.raises(KeyError), capture():
            raise KeyError
        assert obswriter.get_writer() is before
        assert not before.is_shutdown
        assert before.get_stats().recorded["log"] == 0
    finally:
        obswriter.shutdown()


def test_captures_may_be_nested() -> None:
    with capture() as outer:
        with capture() as inner:
            obswriter.log("info", "inner")
        obswriter.log("info", "outer")
        assert outer.one("log")["message"] == "outer"
        with pytest.raises(FileNotFoundError):
            inner.root.stat()


def test_events_of_other_threads_are_found_too(captured: Captured) -> None:
    thread = threading.Thread(target=obswriter.log, args=("info", "there"))
    thread.start()
    thread.join()
    assert captured.one("log")["message"] == "there"


def test_what_was_recorded_can_still_be_read_after_a_shutdown(captured: Captured) -> None:
    obswriter.log("info", "m")
    obswriter.shutdown()
    assert captured.one("log")["message"] == "m"


def test_options_are_the_writers(captured: Captured) -> None:
    with capture(project_id="shop", max_event_size=1024, base_path="a/b") as own:
        obswriter.log("info", "x" * 5000)
        assert own.one("log", projectId="shop")["message"].endswith("of 5000]")


def test_nothing_is_left_on_the_disk() -> None:
    with capture() as captured:
        obswriter.log("info", "m")
        assert captured.root.exists()
    assert not captured.root.exists()
