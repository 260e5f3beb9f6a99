"""The five events: what each says on the wire, and what none of them accepts."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import pytest

from obswriter import Event, Log, Metric, Score, Span, SpanEvent, Trace
from obswriter.events import EVENT_CLASSES, as_event

TIME = "2026-01-23T12:00:00.000123Z"
LATER = "2026-01-23T12:00:01.000000Z"

# For each event its least arguments, and every wire name in the contract's table but `type`.
LEAST: dict[str, dict[str, Any]] = {
    "trace": {"name": "t", "start_time": TIME, "end_time": LATER},
    "span": {"trace_id": "a" * 32, "name": "s", "start_time": TIME, "end_time": LATER},
    "log": {"level": "info", "message": "m"},
    "metric": {"name": "m", "value": 1.5},
    "score": {"name": "q", "value": 1},
}
ALWAYS = {
    "trace": "type id projectId name startTime endTime status recordedAt",
    "span": "type id traceId projectId name startTime endTime status recordedAt",
    "log": "type id projectId level message timestamp recordedAt",
    "metric": "type id projectId name value timestamp recordedAt",
    "score": "type id projectId name value timestamp recordedAt",
}
SOMETIMES = {
    "trace": "input output metadata",
    "span": "parentSpanId spanKind attributes events",
    "log": "traceId spanId attributes",
    "metric": "unit traceId spanId attributes",
    "score": "traceId spanId comment attributes",
}
FULL: dict[str, dict[str, Any]] = {
    "trace": {"input": [1], "output": {"a": 2}, "metadata": {"b": 3}},
    "span": {
        "parent_span_id": "b" * 16,
        "span_kind": "server",
        "attributes": {"c": 4},
        "events": [{"name": "e", "timestamp": TIME, "attributes": {"d": 5}}],
    },
    "log": {"attributes": {"c": 4}},
    "metric": {"unit": "ms", "attributes": {"c": 4}},
    "score": {"comment": "well", "attributes": {"c": 4}},
}
for _type in ("log", "metric", "score"):
    FULL[_type] |= {"timestamp": TIME, "trace_id": "t", "span_id": "s"}
EACH = pytest.mark.parametrize("type", LEAST)


def make(type: str, **more: Any) -> Event:
    return EVENT_CLASSES[type](**{**LEAST[type], **more})


def wire(event: Event) -> dict[str, Any]:
    return event.to_wire("default", LATER)


@EACH
def test_an_event_has_the_contracts_fields_and_no_others_when_nothing_more_is_set(
    type: str,
) -> None:
    assert set(wire(make(type))) == set(ALWAYS[type].split())


@EACH
def test_an_event_with_everything_set_has_every_field_of_the_contract(type: str) -> None:
    fields = wire(make(type, **FULL[type]))
    assert set(fields) == {*ALWAYS[type].split(), *SOMETIMES[type].split()}


@EACH
def test_type_comes_first_and_recorded_at_last(type: str) -> None:
    for event in (make(type), make(type, **FULL[type]), make(type, recorded_at=TIME)):
        names = list(wire(event))
        assert (names[0], names[-1]) == ("type", "recordedAt")
        assert wire(event)["type"] == type


@EACH
def test_recorded_at_is_the_moment_of_recording_unless_the_event_brings_its_own(type: str) -> None:
    assert wire(make(type))["recordedAt"] == LATER
    assert wire(make(type, recorded_at=TIME))["recordedAt"] == TIME
    assert wire(make(type, recorded_at=0))["recordedAt"] == "1970-01-01T00:00:00.000000Z"


@EACH
def test_an_event_is_filed_under_its_own_project(type: str) -> None:
    assert wire(make(type))["projectId"] == "default"
    assert wire(make(type, project_id="mine"))["projectId"] == "mine"


@EACH
def test_a_project_that_would_leave_its_directory_is_refused_at_the_call(type: str) -> None:
    for project in ("../../etc", "a/b", ".hidden", "processed", ""):
        with pytest.raises(ValueError, match="project_id must be"):
            make(type, project_id=project)


@pytest.mark.parametrize(("type", "digits"), [(t, 32 if t == "trace" else 16) for t in LEAST])
def test_an_id_is_made_up_where_none_is_given(type: str, digits: int) -> None:
    ids = {make(type).id for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(f"[0-9a-f]{{{digits}}}", id) for id in ids)


@EACH
def test_a_callers_own_id_is_any_string_but_the_empty_one(type: str) -> None:
    assert make(type, id="order 7/ä").id == "order 7/ä"
    with pytest.raises(ValueError, match="id must not be empty"):
        make(type, id="")
    for wrong in (7, None, b"x"):
        with pytest.raises(TypeError, match="id must be a string; got"):
            make(type, id=wrong)


@pytest.mark.parametrize("type", ["log", "metric", "score"])
def test_a_moment_is_now_where_none_is_given(type: str) -> None:
    before = Log(level="info", message="m").timestamp
    now = wire(make(type))["timestamp"]
    assert before <= now <= Log(level="info", message="m").timestamp


@pytest.mark.parametrize(
    ("type", "field"),
    [
        *((type, field) for type in ("trace", "span") for field in ("start_time", "end_time")),
        *((type, "timestamp") for type in ("log", "metric", "score")),
        *((type, "recorded_at") for type in LEAST),
    ],
)
def test_times_are_kept_as_utc_text_and_naive_ones_refused(type: str, field: str) -> None:
    event = make(type, **{field: "2026-01-23T14:00:00.000123+02:00"})
    assert getattr(event, field) == TIME
    with pytest.raises(ValueError, match=f"{field}: .*pass an aware datetime"):
        make(type, **{field: "2026-01-23T14:00:00"})
    with pytest.raises(TypeError, match=f"{field}: 1.5 is not a time"):
        make(type, **{field: 1.5})


@pytest.mark.parametrize(
    ("type", "field", "value", "error"),
    [
        ("trace", "status", "done", "status must be one of ok, error, unset; got 'done'"),
        ("span", "status", None, "status must be one of"),
        ("span", "span_kind", "servr", "got 'servr' (did you mean 'server'?)"),
        ("log", "level", "warning", "got 'warning' (did you mean 'warn'?)"),
        ("trace", "name", "", "name must not be empty"),
        ("span", "name", None, "name must be a string; got None"),
        ("span", "trace_id", "", "trace_id must not be empty"),
        ("span", "parent_span_id", "", "parent_span_id must not be empty"),
        ("log", "trace_id", 7, "trace_id must be a string; got 7"),
        ("score", "span_id", "", "span_id must not be empty"),
        ("log", "message", 7, "message must be a string; got 7"),
        ("metric", "value", "1", "value must be a number; got '1'"),
        ("metric", "value", True, "value must be a number; got True"),
        ("score", "value", None, "value must be a number; got None"),
        ("metric", "unit", 7, "unit must be a string; got 7"),
        ("score", "comment", b"", "comment must be a string; got b''"),
        ("trace", "metadata", [], "metadata must be a mapping of names to values; got []"),
        ("span", "attributes", "a", "attributes must be a mapping of names to values; got 'a'"),
        ("log", "attributes", 7, "attributes must be a mapping of names to values; got 7"),
        ("span", "events", ["e"], "a span event must be a SpanEvent or a mapping; got 'e'"),
        ("span", "events", [{"name": ""}], "name must not be empty"),
        ("span", "events", [{"nam": "e"}], "unknown key 'nam' in a span event (did you mean"),
        (
            "span",
            "events",
            [{"name": "e", "attributes": 5}],
            "attributes must be a mapping of names",
        ),
    ],
)
def test_a_malformed_field_is_refused_by_name_with_its_value(
    type: str, field: str, value: Any, error: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(error)):
        make(type, **{field: value})


@pytest.mark.parametrize(("type", "field"), [("log", "message"), ("metric", "unit")])
def test_what_people_write_may_be_empty(type: str, field: str) -> None:
    assert wire(make(type, **{field: ""}))[field] == ""


@EACH
def test_a_mapping_may_use_python_names_or_wire_names(type: str) -> None:
    python = {**LEAST[type], **FULL[type], "project_id": "p", "id": "i", "recorded_at": TIME}
    expected = wire(EVENT_CLASSES[type](**python))
    assert wire(as_event({"type": type, **python})) == expected
    assert wire(as_event(expected)) == expected
    assert wire(EVENT_CLASSES[type].from_mapping(MappingProxyType(python))) == expected


@pytest.mark.parametrize(
    ("type", "key", "right"),
    [
        ("trace", "startTme", "startTime"),
        ("span", "trace-id", "trace_id"),
        ("span", "parentId", "parentSpanId"),
        ("log", "msg", "message"),
        ("metric", "val", "value"),
        ("score", "coment", "comment"),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_right_one_named(
    type: str, key: str, right: str
) -> None:
    with pytest.raises(ValueError, match=f"unknown key '{key}' in a {type}") as caught:
        as_event({"type": type, **LEAST[type], key: "x"})
    guess = re.search(r"did you mean '(\w+)'", str(caught.value))
    assert guess
    assert guess[1].replace("_", "").lower() == right.replace("_", "").lower()


@pytest.mark.parametrize("key", [5, None, ("a",), b"name"])
def test_a_key_that_is_no_string_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="unknown key"):
        Log.from_mapping({**LEAST["log"], key: 1})


def test_the_same_field_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a log has 'trace_id' twice, once as 'traceId'"):
        Log.from_mapping({**LEAST["log"], "trace_id": "a", "traceId": "b"})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"Span.*'trace_id'"):
        Span.from_mapping({"name": "s", "start_time": TIME, "end_time": TIME})


def test_none_in_a_mapping_means_unset() -> None:
    event = Metric.from_mapping({"name": "m", "value": 1, "unit": None, "timestamp": None})
    assert "unit" not in wire(event)
    assert wire(event)["timestamp"]


@pytest.mark.parametrize("mapping", [{}, {"type": "spans"}, {"type": None}, {"type": ["span"]}])
def test_a_mapping_without_a_known_type_is_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="type must be one of trace, span, log, metric, score"):
        as_event(mapping)


def test_a_mapping_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="type must be one of span; got 'log'"):
        Span.from_mapping({"type": "log", **LEAST["span"]})


def test_span_events_are_taken_as_objects_or_mappings_and_a_generator_once() -> None:
    given = [SpanEvent(name="a", timestamp=TIME), {"name": "b", "timestamp": 0}]
    span = Span(**LEAST["span"], events=(event for event in given))
    expected = [
        {"name": "a", "timestamp": TIME},
        {"name": "b", "timestamp": "1970-01-01T00:00:00.000000Z"},
    ]
    assert wire(span)["events"] == expected
    assert wire(span)["events"] == expected


def test_a_list_of_span_events_is_copied_when_the_span_is_made() -> None:
    events: list[Any] = [{"name": "a"}]
    span = Span(**LEAST["span"], events=events)
    events.append("no event at all")
    assert [event["name"] for event in wire(span)["events"]] == ["a"]


def test_fields_are_given_by_their_names_and_not_by_position() -> None:
    log: Any = Log
    with pytest.raises(TypeError):
        log("info", "m")
    with pytest.raises(TypeError, match="lvl"):
        log(lvl="info", message="m")


@EACH
def test_an_event_has_no_room_for_a_misspelt_field(type: str) -> None:
    event: Any = make(type)
    with pytest.raises(AttributeError):
        event.naem = "x"


def test_a_trace_and_its_spans_share_an_id_by_being_given_it() -> None:
    trace = Trace(**LEAST["trace"])
    assert wire(Span(**{**LEAST["span"], "trace_id": trace.id}))["traceId"] == wire(trace)["id"]


def test_a_score_needs_no_trace() -> None:
    assert "traceId" not in wire(Score(name="q", value=0.5))


@pytest.mark.parametrize("events", [5, {}, "event", b"x", {"name": "e"}], ids=repr)
def test_the_events_of_a_span_are_a_list(events: Any) -> None:
    with pytest.raises(TypeError, match=r"^events must be a list of SpanEvents or mappings; got "):
        Span(trace_id="1", name="s", start_time=0, end_time=0, events=events)


def test_an_unknown_key_is_told_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"unknown key 'text' in a log.*; it has .*message"):
        Log.from_mapping({"level": "info", "message": "m", "text": "x"})
