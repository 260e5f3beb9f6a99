"""What application code calls: it says what happened, and never raises for what it is given."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import obswriter
from obswriter import LiveSpan, SpanContext, context, parse_jsonl
from obswriter.lenient import exception_attributes, type_name
from obswriter.testing import Captured, capture
from obswriter.vocabulary import LEVELS, SPAN_KINDS, STATUSES
from obswriter_testsupport import values as v

CALLER = SpanContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "a=b")


def ids(event: dict[str, Any]) -> tuple[str, str]:
    return event["traceId"], event["id"]


# --- nesting --------------------------------------------------------------------------------


def test_a_span_alone_is_a_local_root_and_also_writes_a_trace(captured: Captured) -> None:
    with obswriter.span("work", kind="client", attributes={"a": 1}) as span:
        pass
    wire = captured.one("span")
    assert wire == {
        "type": "span", "id": span.id, "traceId": span.trace_id, "projectId": "test",
        "name": "work", "startTime": wire["startTime"], "endTime": wire["endTime"],
        "status": "unset", "spanKind": "client", "attributes": {"a": 1},
        "recordedAt": wire["recordedAt"],
    }  # fmt: skip
    assert [*wire][:: len(wire) - 1] == ["type", "recordedAt"]
    trace = captured.one("trace")
    assert trace == {
        "type": "trace", "id": span.trace_id, "projectId": "test", "name": "work",
        "startTime": wire["startTime"], "endTime": wire["endTime"], "status": "unset",
        "recordedAt": wire["recordedAt"],
    }  # fmt: skip
    assert wire["startTime"] <= wire["endTime"] <= wire["recordedAt"]


def test_ids_are_w3cs(captured: Captured) -> None:
    with obswriter.span("a") as span:
        assert re.fullmatch("[0-9a-f]{32}", span.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", span.id)


def test_a_span_within_a_span_is_its_child_and_writes_no_trace(captured: Captured) -> None:
    with obswriter.span("a"), obswriter.span("b"), obswriter.span("c"):
        pass
    with obswriter.span("d"):
        pass
    a, b, c, d = (captured.one("span", name=name) for name in "abcd")
    assert (b["parentSpanId"], c["parentSpanId"]) == (a["id"], b["id"])
    assert a["traceId"] == b["traceId"] == c["traceId"] != d["traceId"]
    assert "parentSpanId" not in a
    assert [trace["name"] for trace in captured.events("trace")] == ["a", "d"]


def test_a_trace_is_a_root_span_and_a_trace_event_of_one_name(captured: Captured) -> None:
    with obswriter.trace("checkout", input=[1], metadata={"tier": "gold"}) as trace:
        trace.set_attribute("a", 1)
        trace.set_output({"total": 7})
        trace.set_status("ok")
    span, event = captured.one("span"), captured.one("trace")
    assert span["name"] == event["name"] == "checkout"
    assert span["traceId"] == event["id"] == trace.trace_id
    assert span["status"] == event["status"] == "ok"
    assert (event["input"], event["output"], event["metadata"]) == (
        [1],
        {"total": 7},
        {"tier": "gold"},
    )
    assert span["attributes"] == {"a": 1}
    assert not {"input", "output", "metadata"} & set(span)


def test_what_a_trace_is_not_told_is_not_in_it(captured: Captured) -> None:
    with obswriter.trace("t"):
        pass
    assert not {"input", "output", "metadata"} & set(captured.one("trace"))


def test_a_trace_within_a_span_is_another_trace_with_a_link(captured: Captured) -> None:
    with obswriter.span("outer") as outer:
        with obswriter.trace("inner") as inner, obswriter.span("below"):
            pass
        assert context.current() is outer
    wire = captured.one("span", name="inner")
    assert wire["traceId"] == inner.trace_id != outer.trace_id
    assert "parentSpanId" not in wire
    assert wire["attributes"] == {
        "obswriter.link.trace_id": outer.trace_id,
        "obswriter.link.span_id": outer.id,
    }
    assert captured.one("span", name="below")["traceId"] == inner.trace_id
    assert captured.one("trace", name="inner")["id"] == inner.trace_id


@pytest.mark.parametrize("begin", [obswriter.span, obswriter.trace])
def test_a_remote_parent_gives_the_trace_id_and_leaves_a_local_root(
    captured: Captured, begin: Callable[..., LiveSpan]
) -> None:
    with obswriter.span("unrelated"), begin("serve", parent=CALLER) as span:
        assert (span.trace_id, span.trace_flags, span.tracestate) == (CALLER.trace_id, 1, "a=b")
    assert captured.one("span", name="serve")["parentSpanId"] == CALLER.id
    assert captured.one("trace", name="serve")["id"] == CALLER.trace_id


def test_tasks_are_children_of_the_span_that_began_them(captured: Captured) -> None:
    async def child(number: int) -> None:
        with obswriter.span(f"child {number}"):
            await asyncio.sleep(0)

    async def main() -> None:
        with obswriter.span("main"):
            await asyncio.gather(*(child(number) for number in range(3)))

    asyncio.run(main())
    main_span = captured.one("span", name="main")
    children = [span for span in captured.events("span") if span["name"] != "main"]
    assert [span["parentSpanId"] for span in children] == [main_span["id"]] * 3
    assert len(captured.events("trace")) == 1


def test_a_task_that_outlives_its_parent_still_belongs_to_it(captured: Captured) -> None:
    async def late(go: asyncio.Event) -> None:
        await go.wait()
        with obswriter.span("late"):
            pass

    async def main() -> None:
        go = asyncio.Event()
        with obswriter.span("main"):
            task = asyncio.create_task(late(go))
        go.set()
        await task

    asyncio.run(main())
    late_span, main_span = captured.one("span", name="late"), captured.one("span", name="main")
    assert (late_span["traceId"], late_span["parentSpanId"]) == ids(main_span)


def test_a_span_ended_in_another_context_leaves_that_one_alone(captured: Captured) -> None:
    span = obswriter.span("moved").__enter__()
    with obswriter.span("here") as here:
        copy_context().run(span.__exit__, None, None, None)
        assert context.current() is here
    context.attach(None)
    assert captured.one("span", name="moved")


def test_spans_that_end_in_the_wrong_order_leave_nothing_behind(captured: Captured) -> None:
    first = obswriter.span("first").__enter__()
    second = obswriter.span("second").__enter__()
    third = obswriter.span("third").__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert context.current() is third
    third.__exit__(None, None, None)
    assert context.current() is None
    assert captured.one("span", name="third")["parentSpanId"] == second.id
    assert [trace["name"] for trace in captured.events("trace")] == ["first"]


def test_entering_a_span_twice_changes_nothing(captured: Captured) -> None:
    span = obswriter.span("once")
    with span as outer, span as inner:
        assert outer is inner is context.current()
    assert context.current() is None
    assert "parentSpanId" not in captured.one("span")


def test_a_span_that_never_began_may_end(captured: Captured) -> None:
    obswriter.span("never").__exit__(None, None, None)
    assert captured.events() == []


def test_a_span_is_recorded_when_it_ends_and_not_before(captured: Captured) -> None:
    with obswriter.span("a"):
        assert captured.events() == []
    assert len(captured.events()) == 2


def test_a_suspended_span_is_not_current_and_a_resumed_one_is_again(captured: Captured) -> None:
    with obswriter.span("outer") as outer, obswriter.span("inner") as inner:
        inner.suspend()
        assert context.current() is outer
        inner.resume()
        assert context.current() is inner


def test_a_span_resumed_in_another_context_gives_way_to_that_ones_own(captured: Captured) -> None:
    with obswriter.span("first") as first:
        moved = obswriter.span("moved").__enter__()
        moved.suspend()
        assert context.current() is first
    with obswriter.span("second") as second:
        moved.resume()
        with obswriter.span("child"):
            pass
        moved.__exit__(None, None, None)
        assert context.current() is second
    assert captured.one("span", name="moved")["parentSpanId"] == first.id
    assert captured.one("span", name="child")["parentSpanId"] == moved.id


def test_a_stopped_clock_ends_a_span_before_it_is_recorded(captured: Captured) -> None:
    with obswriter.span("s") as span:
        span.stop_clock()
        obswriter.log("info", "meanwhile")
        span.set_attribute("late", 1)
    wire = captured.one("span")
    assert wire["startTime"] <= wire["endTime"] <= captured.one("log")["recordedAt"]
    assert wire["endTime"] < wire["recordedAt"]
    assert wire["attributes"] == {"late": 1}


def test_a_wall_clock_that_is_set_meanwhile_does_not_change_a_duration(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with obswriter.span("s"):
        hour = 3600 * 10**9
        monkeypatch.setattr(obswriter.spans, "time_ns", lambda: time_ns() - hour)
    wire = captured.one("span")
    assert wire["recordedAt"] < wire["startTime"] <= wire["endTime"]


# --- what a block may say -------------------------------------------------------------------


def test_a_span_says_what_it_was_told(captured: Captured) -> None:
    with obswriter.span("before", attributes={"a": 1}) as span:
        span.set_name("after")
        span.set_attribute("b", 2)
        span.set_attributes({"b": 3, "c": 4})
        span.add_event("cache miss", {"key": "k"})
        span.add_event("plain")
        span.set_status("ok", "fine")
    wire = captured.one("span")
    assert wire["name"] == "after"
    assert wire["attributes"] == {"a": 1, "b": 3, "c": 4, "otel.status_description": "fine"}
    assert wire["status"] == "ok"
    first, second = wire["events"]
    assert (first["name"], first["attributes"]) == ("cache miss", {"key": "k"})
    assert list(second) == ["name", "timestamp"]
    assert wire["startTime"] <= first["timestamp"] <= second["timestamp"] <= wire["endTime"]


def test_attributes_are_copied_when_they_are_given(captured: Captured) -> None:
    given = {"a": 1}
    with obswriter.span("s", attributes=given) as span:
        span.add_event("e", given)
        given["a"] = 2
    assert captured.one("span")["attributes"] == {"a": 1}
    assert captured.one("span")["events"][0]["attributes"] == {"a": 1}


def test_what_is_said_after_the_end_is_not_written(captured: Captured) -> None:
    with obswriter.span("s") as span:
        pass
    span.set_attribute("late", 1)
    span.add_event("late")
    assert not {"attributes", "events"} & set(captured.one("span"))


def test_an_exception_leaves_as_it_came_and_is_noted(captured: Captured) -> None:
    problem = KeyError("k")
    with pytest.raises(KeyError) as caught, obswriter.span("s"):
        raise problem
    assert caught.value is problem
    wire = captured.one("span")
    assert wire["status"] == "error"
    assert wire["attributes"] == {"error.type": "KeyError"}
    (event,) = wire["events"]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.type"] == "KeyError"
    assert event["attributes"]["exception.message"] == "'k'"
    assert "raise problem" in event["attributes"]["exception.stacktrace"]
    assert captured.one("trace")["status"] == "error"


def test_an_exception_that_is_dealt_with_is_noted_only_when_recorded(captured: Captured) -> None:
    with obswriter.span("s") as span:
        try:
            raise ValueError("again")
        except ValueError as error:
            span.record_exception(error)
    wire = captured.one("span")
    assert wire["status"] == "unset"
    assert wire["events"][0]["attributes"]["exception.message"] == "again"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_being_stopped_is_no_failure_but_visible(
    captured: Captured, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), obswriter.span("s"):
        raise kind
    wire = captured.one("span")
    assert wire["status"] == "unset"
    assert wire["attributes"]["obswriter.ended_by"].endswith(kind.__name__)
    assert "events" not in wire


def test_an_exceptions_type_is_named_as_opentelemetry_does() -> None:
    class OwnError(Exception):
        pass

    assert type_name(ValueError()) == "ValueError"
    assert type_name(OwnError()) == f"{__name__}.{OwnError.__qualname__}"


def test_an_exception_that_cannot_be_printed_is_described(captured: Captured) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    with pytest.raises(SilentError), obswriter.span("s"):
        raise SilentError
    found = captured.one("span")["events"][0]["attributes"]
    assert found["exception.message"] == "<exception str() failed>"
    assert "Silent" in found["exception.stacktrace"]


def test_an_exceptions_causes_and_groups_are_in_its_stack_trace() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ExceptionGroup("several", [ValueError("second")]) from error
    except ExceptionGroup as group:
        stack = exception_attributes(group)["exception.stacktrace"]
    assert all(word in stack for word in ("first", "second", "several", "direct cause"))


# --- logs, metrics, scores ------------------------------------------------------------------


def test_a_log_has_what_it_was_given_and_the_current_span(captured: Captured) -> None:
    with obswriter.span("s") as span:
        obswriter.log("warn", "careful", attributes={"a": 1})
    obswriter.log("info", "alone")
    within, alone = captured.events("log")
    assert within["level"] == "warn"
    assert within["message"] == "careful"
    assert within["attributes"] == {"a": 1}
    assert (within["traceId"], within["spanId"]) == (span.trace_id, span.id)
    assert not {"traceId", "spanId", "attributes"} & set(alone)
    assert [*within][:: len(within) - 1] == ["type", "recordedAt"]


@pytest.mark.parametrize(
    ("given", "level"),
    [("debug", "debug"), ("WARNING", "warn"), ("Critical", "fatal"), ("exception", "error"),
     (logging.WARNING, "warn")],
)  # fmt: skip
def test_common_names_of_levels_are_understood(captured: Captured, given: Any, level: str) -> None:
    obswriter.log(given, "m")
    assert captured.one("log")["level"] == level


def test_an_unknown_level_is_kept_beside_the_log(captured: Captured) -> None:
    obswriter.log("loud", "m")
    log = captured.one("log")
    assert (log["level"], log["attributes"]) == ("info", {"obswriter.level": "loud"})


def test_a_metric_has_its_value_and_unit(captured: Captured) -> None:
    with obswriter.span("s") as span:
        obswriter.metric("queue.depth", 7, unit="{task}", attributes={"queue": "mail"})
    wire = captured.one("metric")
    assert (wire["name"], wire["value"], wire["unit"]) == ("queue.depth", 7, "{task}")
    assert wire["attributes"] == {"queue": "mail"}
    assert (wire["traceId"], wire["spanId"]) == (span.trace_id, span.id)


def test_numpy_numbers_are_numbers_wherever_they_are_given(captured: Captured) -> None:
    numpy = pytest.importorskip("numpy")
    given = {"float32": 0.5, "float64": 0.5, "int64": 7}
    for kind, value in given.items():
        obswriter.metric("m", getattr(numpy, kind)(value))
        obswriter.score("s", getattr(numpy, kind)(value))
    for events in (captured.events("metric"), captured.events("score")):
        values = [wire["value"] for wire in events]
        assert [*map(repr, values)] == ["0.5", "0.5", "7"]
    attributes = {kind: getattr(numpy, kind)(value) for kind, value in given.items()}
    attributes |= {"bool_": numpy.bool_(True), "complex64": numpy.complex64(1j)}
    with obswriter.span("s", attributes=attributes):
        obswriter.log("info", "m", attributes={"nested": [attributes]})
    readable = {**given, "bool_": True, "complex64": "1j"}
    written = captured.one("span")["attributes"]
    assert repr(written) == repr(readable)
    assert captured.one("log")["attributes"] == {"nested": [readable]}


def test_a_numpy_truth_or_complex_number_is_no_measured_value(captured: Captured) -> None:
    numpy = pytest.importorskip("numpy")
    for value in (numpy.bool_(True), numpy.complex64(1j)):
        obswriter.metric("m", value)
        obswriter.score("s", value)
    assert {event["name"] for event in captured.events()} == {"obswriter.events.dropped"}
    dropped = captured.writer.get_stats().dropped
    assert (dropped["metric"], dropped["score"]) == ({"invalid": 2}, {"invalid": 2})


def test_a_score_is_about_the_current_span_or_the_one_it_names(captured: Captured) -> None:
    with obswriter.span("s") as span:
        obswriter.score("quality", 0.5, comment="so so")
        obswriter.score("quality", 1, trace_id="order-7")
        obswriter.score("quality", 0, trace_id="order-7", span_id="step-1")
    here, trace, step = captured.events("score")
    assert (here["traceId"], here["spanId"], here["comment"]) == (span.trace_id, span.id, "so so")
    assert trace["traceId"] == "order-7"
    assert "spanId" not in trace
    assert (step["traceId"], step["spanId"]) == ("order-7", "step-1")


@pytest.mark.parametrize("value", ["1", None, True, 1j, []], ids=repr)
def test_what_is_no_number_is_dropped_and_counted(captured: Captured, value: Any) -> None:
    obswriter.metric("m", value)
    obswriter.score("s", value)
    assert {event["name"] for event in captured.events()} == {"obswriter.events.dropped"}
    dropped = captured.writer.get_stats().dropped
    assert (dropped["metric"], dropped["score"]) == ({"invalid": 1}, {"invalid": 1})


def test_what_was_dropped_for_its_value_is_named(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    obswriter.metric("cart.total", "12,50")
    captured.writer.flush()
    wanted = 'a metric was dropped (invalid): cart.total: TypeError("value must be a number; got '
    assert any(wanted in record.getMessage() for record in caplog.records)


# --- never raising --------------------------------------------------------------------------


six = st.lists(v.values, min_size=6, max_size=6)
api: Any = obswriter  # whose types say what it should be given; here it is given anything


@given(six)
def live(given: list[Any]) -> None:
    a, b, c, d, e, f = given
    with (
        api.span(a, kind=b, attributes=c, parent=d) as span,
        api.trace(e, input=f, metadata=a, parent=b) as trace,
    ):
        trace.set_output(c)
        for target in (span, trace):
            target.set_name(d)
            target.set_attribute(e, f)
            target.set_attributes(a)
            target.set_status(b, c)
            target.add_event(d, e)
            target.record_exception(f)
    assert context.current() is None


@given(six)
def at_once(given: list[Any]) -> None:
    a, b, c, d, e, f = given
    api.log(a, b, attributes=c)
    api.metric(a, b, unit=c, attributes=d)
    api.metric(a, 1, unit=c, attributes=d)
    api.score(a, b, comment=c, attributes=d, trace_id=e, span_id=f)
    api.score(a, 1, comment=c, attributes=d, trace_id=e, span_id=f)


def assert_valid(event: dict[str, Any]) -> None:
    assert event["projectId"] == "test"
    assert isinstance(event.get("name", event.get("message")), str)
    for name, known in (("status", STATUSES), ("spanKind", SPAN_KINDS), ("level", LEVELS)):
        assert event.get(name, known[0]) in known
    for name in ("id", "traceId", "spanId", "parentSpanId"):
        assert isinstance(event.get(name, "x"), str)
        assert event.get(name) != ""
    for name in ("unit", "comment"):
        assert isinstance(event.get(name, ""), str)
    for name in ("startTime", "endTime", "timestamp", "recordedAt"):
        if name in event:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event[name])
            datetime.fromisoformat(event[name])


@pytest.mark.parametrize(
    ("say", "types"), [(live, {"span", "trace"}), (at_once, {"log", "metric", "score"})]
)
def test_whatever_is_said_raises_nothing_and_gives_valid_events(
    captured: Captured, say: Callable[[], None], types: set[str]
) -> None:
    say()
    events = captured.events()
    for event in events:
        assert_valid(event)
    assert {event["type"] for event in events} == types


def test_attributes_that_are_no_mapping_are_kept_and_not_consumed(captured: Captured) -> None:
    pairs = iter([("a", 1)])
    api.log("info", "m", attributes=pairs)
    assert list(pairs) == [("a", 1)]
    assert "iterator" in captured.one("log")["attributes"]["value"]


@pytest.mark.parametrize("id", ["", None])
def test_an_empty_id_is_none(captured: Captured, id: Any) -> None:
    with obswriter.span("s") as span:
        obswriter.score("q", 1, trace_id=id, span_id=id)
    score = captured.one("score")
    assert (score["traceId"], score["spanId"]) == (span.trace_id, span.id)


def test_after_shutdown_everything_is_dropped_and_counted() -> None:
    with capture() as captured:
        captured.writer.shutdown()
        with obswriter.span("s"):
            obswriter.log("info", "m")
        obswriter.metric("m", 1)
        obswriter.score("q", 1)
        dropped = captured.writer.get_stats().dropped
    assert {
        type: reasons["shutdown"] for type, reasons in dropped.items() if reasons
    } == dict.fromkeys(("trace", "span", "log", "metric", "score"), 1)


# --- disabled, forked -----------------------------------------------------------------------


def test_disabled_nothing_is_recorded_and_everything_works() -> None:
    @obswriter.observe
    def work() -> int:
        return 7

    with capture(disabled=True) as captured:
        with obswriter.trace("t", input=1) as trace, obswriter.span("s") as span:
            assert context.current() is None
            trace.set_output(1)
            span.set_attribute("a", 1)
            span.record_exception(ValueError())
            span.suspend()
            span.resume()
            span.stop_clock()
            assert work() == 7
        obswriter.log("info", "m")
        obswriter.metric("m", 1)
        obswriter.score("q", "no number")  # type: ignore[arg-type]
        assert captured.events() == []
        assert not any(captured.writer.get_stats().recorded.values())
        assert list(captured.root.iterdir()) == []


FORK_WITHIN_A_SPAN = """
import os, sys
import obswriter

obswriter.configure(file_storage=sys.argv[1], project_id="p")
with obswriter.span("parent"):
    pid = os.fork()
    if pid == 0:
        with obswriter.span("in the child"):
            pass
if pid:
    os.waitpid(pid, 0)
obswriter.flush()
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_span_around_a_fork_is_recorded_once(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_WITHIN_A_SPAN]
    subprocess.run([*command, str(tmp_path)], check=True, timeout=60)
    files = tmp_path.glob("observability/span/p/*.jsonl")
    spans = [event for file in files for event in parse_jsonl(file.read_bytes())]
    by_name = {span["name"]: span for span in spans}
    assert sorted(span["name"] for span in spans) == ["in the child", "parent"]
    assert by_name["in the child"]["parentSpanId"] == by_name["parent"]["id"]


class SoftLimitError(Exception):
    """What an application's signal handler raises, as Celery's does."""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
@pytest.mark.parametrize("call", ["log", "span", "record_log"])
def test_what_a_signal_handler_raises_in_the_middle_of_a_call_reaches_the_application(
    captured: Captured, call: str
) -> None:
    class Interrupting(bytearray):
        def __setitem__(self, key: object, value: object) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

    def handler(number: int, frame: object) -> None:
        raise SoftLimitError

    def record() -> None:
        if call == "span":
            with obswriter.span("s", parent=SpanContext("a" * 32, "b" * 16)):
                pass
        elif call == "log":
            obswriter.log("info", "m")
        else:
            obswriter.get_writer().record_log({"level": "info", "message": "m"})

    record()
    buckets = captured.writer._batcher._buckets.values()
    kept = [(bucket.segment, bucket.segment.window) for bucket in buckets]
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for segment, _ in kept:
            segment.window = Interrupting()
        with pytest.raises(SoftLimitError):
            record()
    finally:
        signal.signal(signal.SIGUSR1, before)
        for segment, window in kept:
            segment.window = window
    record()
    type = "span" if call == "span" else "log"
    assert len(captured.events(type)) == 2


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
@pytest.mark.parametrize("begin", [obswriter.flush, lambda: None], ids=["a file", "more room"])
def test_what_a_signal_handler_raises_while_a_file_is_made_is_not_taken_for_the_disks_error(
    captured: Captured, monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object]
) -> None:
    once = [True]  # else the attempt to begin another file passes on a second one

    def allocate(fd: int, start: int, length: int) -> None:
        if threading.current_thread() is threading.main_thread() and once:
            once.clear()
            os.kill(os.getpid(), signal.SIGUSR1)

    def handler(number: int, frame: object) -> None:
        raise TimeoutError

    obswriter.log("info", "first")
    for bucket in captured.writer._batcher._buckets.values():
        bucket.discard_spare()
    begin()
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("obswriter.segment.allocate", allocate)
            with pytest.raises(TimeoutError):
                obswriter.log("info", "x" * 900_000)
    finally:
        signal.signal(signal.SIGUSR1, before)
    obswriter.log("info", "last")
    assert [log["message"] for log in captured.events("log")] == ["first", "last"]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
def test_what_a_signal_handler_raises_while_an_exception_is_noted_reaches_the_application(
    captured: Captured,
) -> None:
    class Interrupting(type):
        def __getattribute__(cls, name: str) -> Any:
            if name == "__module__":
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().__getattribute__(name)

    class FailedError(Exception, metaclass=Interrupting):
        pass

    def handler(number: int, frame: object) -> None:
        raise SoftLimitError

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SoftLimitError), obswriter.span("work"):
            raise FailedError
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert obswriter.current_span() is None
    assert captured.one("span")["name"] == "work"


@pytest.mark.parametrize(
    ("kind", "status"), [("server", "error"), ("consumer", "error"), ("internal", "unset")]
)
def test_a_worker_that_is_made_to_exit_has_failed_whoever_called_it(
    captured: Captured, kind: Any, status: str
) -> None:
    with pytest.raises(SystemExit), obswriter.span("work", kind=kind):
        sys.exit(1)
    assert captured.one("span")["status"] == status


def test_a_pause_between_reading_one_clock_and_the_other_moves_no_end(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([5_000_000])
    real = obswriter.spans.perf_counter_ns
    monkeypatch.setattr(obswriter.spans, "perf_counter_ns", lambda: real() + next(pauses, 0))
    with obswriter.span("s"):
        obswriter.log("info", "inside")
    inside, span = captured.one("log"), captured.one("span")
    assert span["startTime"] <= inside["timestamp"] <= span["endTime"]
