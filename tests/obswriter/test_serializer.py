"""One event, one line: always valid JSON, of bounded size, and read back as it was."""

from __future__ import annotations

import json
import math
import string
from typing import Any, NamedTuple, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obswriter import (
    Log,
    Trace,
    estimate_event_size,
    parse_jsonl,
    serialize_event,
    serialize_events,
    serializer,
)
from obswriter.serializer import MAX_EVENT_SIZE, whole_lines
from obswriter_testsupport import values as v

TIME = "2026-01-23T12:00:00.000123Z"
IDENTITY = {
    "type": "span",
    "id": "a" * 16,
    "traceId": "b" * 32,
    "parentSpanId": "c" * 16,
    "projectId": "p" * 128,
    "startTime": TIME,
    "endTime": TIME,
    "status": "error",
    "spanKind": "server",
}


class Line(NamedTuple):
    data: bytes
    repaired: bool


def encode(wire: dict[str, Any], max_size: int = MAX_EVENT_SIZE) -> Line:
    return Line(*serializer.encode(wire, max_size))


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def read(line: bytes) -> dict[str, Any]:
    """Read one line as a strict parser that has nothing to do with the writer does."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert not line.startswith(b"\xef\xbb\xbf")
    found = json.loads(line.decode("utf-8"), parse_constant=no_constant)
    assert isinstance(found, dict)
    return found


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "log", "id": "a", **fields, "recordedAt": TIME}


# --- encoding -------------------------------------------------------------------------------


@given(v.values)
def test_whatever_an_event_holds_is_one_line_of_strict_json(value: Any) -> None:
    line = encode(event(attributes={"value": value})).data
    found = read(line)
    names = list(found)
    assert (names[0], names[-1]) == ("type", "recordedAt")
    assert found["type"] == "log"
    assert found["recordedAt"] == TIME
    assert set(found) == {"type", "id", "attributes", "recordedAt"}


@given(st.dictionaries(v.keys, v.values, max_size=3))
def test_whatever_an_events_attributes_are_called_they_are_all_there(value: Any) -> None:
    assert len(read(encode(event(attributes=value)).data)["attributes"]) == len(value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
))  # fmt: skip
def test_what_json_has_comes_back_as_it_was_and_needs_no_repair(value: Any) -> None:
    line = encode(event(attributes={"value": value}))
    assert read(line.data)["attributes"]["value"] == value
    assert list(parse_jsonl(line.data)) == [event(attributes={"value": value})]
    assert not line.repaired


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_is_null(value: float) -> None:
    line = encode(event(value=value, attributes={"list": [value, b"x"]})).data
    assert read(line)["value"] is None
    assert read(line)["attributes"]["list"] == [None, "x"]


@pytest.mark.parametrize("value", [b"x", {1: "x"}, {1, 2}, "\ud800", 2**64, v.circular(), object()])
def test_a_repair_is_reported(value: Any) -> None:
    assert encode(event(attributes=value)).repaired


def test_separators_that_are_no_newline_stay_within_the_line() -> None:
    text = "a\nb\r\nc\u2028d\u2029e\x85f\x0bg\x0ch"
    line = encode(event(message=text)).data
    assert read(line)["message"] == text
    assert [found["message"] for found in parse_jsonl(line + line)] == [text, text]


def test_what_changes_after_recording_does_not_change_the_line() -> None:
    attributes = {"a": [1]}
    line = serialize_event(Log(level="info", message="m", attributes=attributes))
    attributes["a"].append(2)
    assert read(line)["attributes"] == {"a": [1]}


# --- size -----------------------------------------------------------------------------------


def fits(wire: dict[str, Any], max_size: int) -> dict[str, Any]:
    """Encode within the bound; what must survive survives, and what is missing is marked."""
    whole = read(encode(wire, 1 << 40).data)
    line = encode(wire, max_size)
    found = read(line.data)
    assert len(line.data) <= max_size
    assert set(found) == set(whole)
    assert {name: found[name] for name in IDENTITY if name in found} == {
        name: whole[name] for name in IDENTITY if name in whole
    }
    assert list(found)[-1] == "recordedAt"
    if found != whole:
        assert line.repaired
        assert b"[cut " in line.data
    return found


@pytest.mark.parametrize(
    "attributes",
    [
        {"text": "x" * 5_000_000},
        {"text": "é" * 2_000_000},
        {"text": "\x01" * 1_000_000},
        {"text": "\U0001f600" * 1_000_000},
        {str(number): "x" * 500 for number in range(10_000)},
        {str(number): number for number in range(200_000)},
        {"x" * 2_000_000: 1},
        {"list": [["x" * 100] * 100] * 1000},
        {"numbers": list(range(500_000))},
        {"bytes": b"\xff" * 2_000_000},
    ],
    ids=["text", "umlauts", "escapes", "emoji", "many texts", "many", "name", "lists", "numbers",
         "bytes"],
)  # fmt: skip
def test_an_event_over_the_limit_is_cut_visibly_and_keeps_its_identity(attributes: Any) -> None:
    wire = {**IDENTITY, "name": "n", "attributes": attributes, "recordedAt": TIME}
    assert fits(wire, MAX_EVENT_SIZE)["name"] == "n"


@given(
    max_size=st.integers(1024, 6000),
    fields=st.dictionaries(
        st.sampled_from(["name", "message", "input", "output", "metadata", "attributes", "events"]),
        st.one_of(
            st.text(min_size=500, max_size=3000),
            st.lists(st.text(max_size=400), max_size=40),
            st.dictionaries(st.text(max_size=40), st.text(max_size=900), max_size=10),
            st.lists(st.integers(), min_size=300, max_size=900),
        ),
        min_size=1,
    ),
)
def test_any_event_fits_any_limit(max_size: int, fields: dict[str, Any]) -> None:
    fits({**IDENTITY, **fields, "recordedAt": TIME}, max_size)


@pytest.mark.parametrize("character", ["x", "é", "\x01"])
def test_even_ids_are_cut_where_nothing_else_is_left(character: str) -> None:
    wire = dict.fromkeys(("type", "id", "traceId", "spanId"), character * 100_000)
    line = encode(
        {**wire, "type": "log", "level": "info", "timestamp": TIME, "recordedAt": TIME}, 1024
    )
    assert len(line.data) <= 1024
    assert "[cut " in read(line.data)["id"]
    assert read(line.data)["level"] == "info"


@pytest.mark.parametrize(
    "attributes",
    [
        {"values": [0.5] * 300_000, "bytes": b"x"},
        {number: {"a": 1} for number in range(120_000)},
        v.acquainted(20),
    ],
    ids=["list", "mapping", "circles"],
)
def test_more_values_than_can_be_repaired_cost_the_event_nothing_else(attributes: Any) -> None:
    wire = {**IDENTITY, "name": "n", "attributes": attributes, "input": b"x", "recordedAt": TIME}
    found = read(encode(wire, 1 << 40).data)
    assert {name: found[name] for name in IDENTITY} == IDENTITY
    assert (found["name"], found["input"], found["recordedAt"]) == ("n", "x", TIME)
    assert "<too many values>" in json.dumps(found["attributes"])


def test_the_largest_strings_are_cut_first() -> None:
    wire = event(message="short", attributes={"long": "x" * 5000, "short": "y" * 50})
    found = fits(wire, 3000)
    assert found["message"] == "short"
    assert found["attributes"]["short"] == "y" * 50
    assert found["attributes"]["long"].startswith("xxx")
    assert found["attributes"]["long"].endswith("of 5000]")


def test_an_event_at_the_limit_is_left_as_it_is() -> None:
    size = len(encode(event(message="x" * 2000)).data)
    assert not encode(event(message="x" * 2000), size).repaired
    assert encode(event(message="x" * 2000), size - 1).repaired


# --- events ---------------------------------------------------------------------------------


def test_serializing_takes_events_and_mappings_alike() -> None:
    trace = Trace(name="t", start_time=TIME, end_time=TIME, recorded_at=TIME)
    wire = read(serialize_event(trace, project_id="mine"))
    assert read(serialize_event(wire)) == wire
    assert wire == {
        "type": "trace", "id": trace.id, "projectId": "mine", "name": "t", "startTime": TIME,
        "endTime": TIME, "status": "unset", "recordedAt": TIME,
    }  # fmt: skip


def test_several_events_are_their_lines_in_a_row() -> None:
    events = [Log(level="info", message=text, recorded_at=TIME) for text in ("a", "", "\u2028")]
    assert serialize_events(events) == b"".join(map(serialize_event, events))
    assert [found["message"] for found in parse_jsonl(serialize_events(events))] == [
        "a", "", "\u2028",
    ]  # fmt: skip
    assert serialize_events([]) == b""


@given(v.surrogates)
def test_an_estimated_size_is_the_exact_one(text: str) -> None:
    log = Log(level="info", message=text, attributes={text: b"\xff"}, recorded_at=TIME)
    assert estimate_event_size(log) == len(serialize_event(log))


# --- reading --------------------------------------------------------------------------------


def test_reading_takes_bytes_and_text_and_skips_blank_lines() -> None:
    text = '\n{"a":1}\n\n  \n{"a":"\u2028é"}\r\n{"a":3}'
    expected: list[dict[str, Any]] = [{"a": 1}, {"a": "\u2028é"}, {"a": 3}]
    assert list(parse_jsonl(text)) == expected
    assert list(parse_jsonl(text.encode())) == expected
    assert list(parse_jsonl(b"")) == list(parse_jsonl("")) == []


@pytest.mark.parametrize(
    "damaged", [b'{"a":', b"[1]", b"5", b"null", b'{"a":NaN}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}"]
)
def test_a_damaged_line_is_an_error_with_its_number_or_is_handed_over(damaged: bytes) -> None:
    data = b'{"a":1}\n\n' + damaged + b'\n{"a":2}\n'
    with pytest.raises(ValueError, match=r"^line 3: "):
        list(parse_jsonl(data))
    met: list[tuple[int, bytes]] = []
    found = list(parse_jsonl(data, on_damaged=lambda number, line: met.append((number, line))))
    assert found == [{"a": 1}, {"a": 2}]
    assert met == [(3, damaged)]


def test_runs_of_nul_bytes_as_a_power_loss_leaves_them_are_passed_over() -> None:
    data = b'{"a":1}\n' + b"\0" * 100 + b'\n{"a":2}\n{"b\0\0\0\0\n' + b"\0" * 50
    assert list(parse_jsonl(data)) == [{"a": 1}, {"a": 2}]
    met: list[int] = []
    list(parse_jsonl(data, on_damaged=lambda number, _: met.append(number)))
    assert met == [2, 4, 5]


# --- what a dead process leaves -------------------------------------------------------------

messages = st.text(st.characters(codec="utf-8"), max_size=30) | st.just('{"type":"log"}')
lines = messages.map(lambda text: encode(event(message=text)).data)


def punched(line: bytes, start: int, end: int) -> bytes:
    """The line as a copy that was killed leaves it: somewhere within it, zeros."""
    start, end = sorted((start % len(line), end % len(line)))
    return line[:start] + b"\0" * (end + 1 - start) + line[end + 1 :]


@given(
    st.lists(st.tuples(lines, st.none() | st.tuples(st.integers(0), st.integers(0))), max_size=8),
    st.integers(0, 200),
)
def test_every_line_without_a_hole_is_kept_and_none_is_invented(
    written: list[tuple[bytes, tuple[int, int] | None]], room: int
) -> None:
    data = b"".join(line if hole is None else punched(line, *hole) for line, hole in written)
    intact = [line for line, hole in written if hole is None]
    kept, holes = whole_lines(data + b"\0" * room)
    # A line whose newline alone is missing ends in zeros and takes the next one's start along.
    found = kept.splitlines(keepends=True) if kept else []
    assert found == intact
    # Zeros at the very end are no hole: they look like room that was never used.
    assert (holes > 0) == (data.rstrip(b"\0") != b"".join(intact))


@given(st.lists(lines, max_size=5), lines, st.integers(1), st.integers(0, 100))
def test_a_torn_last_line_is_left_out(
    before: list[bytes], last: bytes, length: int, room: int
) -> None:
    torn = last[: 1 + length % (len(last) - 1)]
    kept, holes = whole_lines(b"".join(before) + torn + b"\0" * room)
    assert (kept, holes) == (b"".join(before), 1)


@given(st.lists(lines, max_size=5), st.text(string.printable).map(str.encode))
def test_garbage_at_the_end_is_left_out(before: list[bytes], garbage: bytes) -> None:
    garbage = garbage.replace(b"\n", b"") + b"\n"
    kept, holes = whole_lines(b"".join(before) + garbage)
    assert (kept, holes) == (b"".join(before), 1)


@pytest.mark.parametrize("data", [b"", b"\0" * 4096])
def test_nothing_written_is_nothing_missing(data: bytes) -> None:
    assert whole_lines(data) == (b"", 0)


def test_intact_lines_are_returned_byte_for_byte() -> None:
    data = b"".join(encode(event(message=str(number))).data for number in range(100))
    assert whole_lines(data + b"\0" * 1000) == (data, 0)
