"""Every value has a readable form; none is a reason to raise, and none is consumed."""

from __future__ import annotations

import json
import signal
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from hypothesis import given

from obswriter import repair as repair_module
from obswriter.repair import MAX_DEPTH, repair, shorten
from obswriter_testsupport import values as v

READABLE: list[tuple[Any, Any]] = [
    (datetime(2026, 1, 23, 12, tzinfo=UTC), "2026-01-23T12:00:00.000000Z"),
    (
        datetime(2026, 1, 23, 14, tzinfo=timezone(timedelta(hours=2))),
        "2026-01-23T12:00:00.000000Z",
    ),
    (datetime(2026, 1, 23, 12), "2026-01-23T12:00:00"),
    (date(2026, 1, 23), "2026-01-23"),
    (time(12, 30), "12:30:00"),
    (timedelta(minutes=1, milliseconds=5), 60.005),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Decimal("1.10"), "1.10"),
    (Fraction(1, 4), 0.25),
    (PurePosixPath("a/b"), "a/b"),
    (Path("a"), "a"),
    (b"abc", "abc"),
    (b"a\xff", "a\\xff"),
    (bytearray(b"abc"), "abc"),
    (memoryview(b"abc"), "abc"),
    (v.Colour.RED, "red"),
    (v.Colour.DEEP, ["deep", {"red": 1}]),
    (v.Code.OK, 200),
    (v.Word.YES, "yes"),
    (v.Access.READ | v.Access.WRITE, 3),
    (v.Order(1, [v.Line("a")]), {"number": 1, "lines": [{"text": "a"}]}),
    (v.Point(1, 2), {"x": 1, "y": 2}),
    (v.Pair(1, 2), {"left": 1, "right": 2}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("ba"), ["a", "b"]),
    ((1, "a"), [1, "a"]),
    (deque([1, 2]), [1, 2]),
    (MappingProxyType({"a": 1}), {"a": 1}),
    (2**64 - 1, 2**64 - 1),
    (2**64, str(2**64)),
    (-(2**63) - 1, str(-(2**63) - 1)),
    (1j, "1j"),
    ("a\ud83dz", "a\\ud83dz"),
    ("\u2028\x85\0", "\u2028\x85\0"),
    (v.LoudStr("quiet"), "quiet"),
    (v.LoudInt(5), 5),
    (v.LoudInt(2**70), str(2**70)),
    (v.BrokenDict(a=1), "{'a': 1}"),
    (int, "<class 'int'>"),
    (range(3), "range(0, 3)"),
    (Exception("x"), "Exception('x')"),
    (v.Unprintable(), "<unprintable Unprintable>"),
    (v.Endless(), "<unprintable Endless>"),
    (v.OddRepr("x\ud800"), "x\\ud800"),
    ({"a": {1: b"x"}}, {"a": {"1": "x"}}),
    ({(1, "a"): 1, None: 2, v.Colour.RED: 3}, {'[1,"a"]': 1, "null": 2, "red": 3}),
]  # fmt: skip


@given(v.values)
def test_whatever_comes_is_something_that_json_has(value: Any) -> None:
    assert orjson.loads(orjson.dumps(repair(value))) is not ...


@pytest.mark.parametrize(
    ("value", "readable"),
    READABLE,
    ids=[f"{number}-{type(value).__name__}" for number, (value, _) in enumerate(READABLE)],
)
def test_a_value_comes_out_readable(value: Any, readable: Any) -> None:
    assert repair(value) == readable
    assert type(repair(value)) is type(readable)


@pytest.mark.parametrize(
    ("kind", "value", "readable"),
    [
        ("int64", 5, 5),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("float16", 0.5, 0.5),
        ("float32", 0.5, 0.5),
        ("float64", 0.5, 0.5),
        ("longdouble", 0.5, 0.5),
        ("complex64", 1j, "1j"),
        ("clongdouble", 1j, "1j"),
        ("bool_", True, True),
        ("str_", "a", "a"),
        ("bytes_", b"a", "a"),
    ],
)
def test_a_numpy_scalar_comes_out_as_what_it_is(kind: str, value: Any, readable: Any) -> None:
    numpy = pytest.importorskip("numpy")
    for plain in (repair(getattr(numpy, kind)(value)), repair([numpy.array(value, kind)])[0]):
        assert plain == readable
        assert type(plain) is type(readable)


def test_numpy_arrays_and_keys_come_out_as_lists_and_names() -> None:
    numpy = pytest.importorskip("numpy")
    assert repair(numpy.array([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert repair({numpy.int64(1): numpy.array(5)}) == {"1": 5}


def test_pandas_values_come_out_readable() -> None:
    pandas = pytest.importorskip("pandas")
    assert repair(pandas.Timestamp("2026-01-23T12:00Z")) == "2026-01-23T12:00:00.000000Z"
    assert repair(pandas.NaT) == "NaT"
    assert repair(pandas.Series([1, 2])) == [1, 2]


def test_a_huge_integer_keeps_its_digits_in_hexadecimal() -> None:
    assert repair(10**5000) == hex(10**5000)


def test_keys_that_look_alike_are_all_kept() -> None:
    assert repair({1: "a", "1": "b", "1#2": "c", b"1": "d"}) == {
        "1": "a", "1#2": "b", "1#2#3": "c", "1#4": "d",
    }  # fmt: skip


def test_many_keys_that_look_alike_are_told_apart() -> None:
    assert len(repair({v.Unprintable(): number for number in range(20_000)})) == 20_000


def test_a_circle_ends_where_it_closes() -> None:
    value: dict[str, Any] = {"a": 1}
    value["self"] = [value]
    assert repair(value) == {"a": 1, "self": ["<circular reference>"]}


def test_the_same_object_twice_is_no_circle() -> None:
    shared = {"b": b"x"}
    assert repair([shared, shared]) == [{"b": "x"}, {"b": "x"}]


def test_nesting_ends_at_a_mark() -> None:
    value, depth = repair(v.nested(300)), 0
    while isinstance(value, list):
        (value,), depth = value, depth + 1
    assert (value, depth) == ("<nested too deeply>", MAX_DEPTH)


def test_objects_that_all_refer_to_each_other_end_at_a_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repair_module, "MAX_VALUES", 5000)
    text = json.dumps(repair(v.acquainted(20)))
    assert "<too many values>" in text
    assert len(text) < 2_000_000


def test_an_endless_mapping_ends_at_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "MAX_VALUES", 1000)
    assert "<too many values>" in repair(v.EndlessMapping()).values()


def test_a_long_representation_is_cut_and_says_how_long_it_was() -> None:
    text = repair(v.OddRepr("x" * 10_000))
    assert text.startswith("x" * 4096 + "…")
    assert "10000" in text


def test_generators_and_iterators_are_described_and_not_consumed() -> None:
    generator = (number for number in range(3))
    iterator = iter([1, 2])
    assert "generator" in repair(generator)
    assert "iterator" in repair({"it": iterator})["it"]
    assert list(generator) == [0, 1, 2]
    assert list(iterator) == [1, 2]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (v.Liar, "Liar"),
        (v.Faceless, "Faceless"),
        (v.BrokenMapping, "BrokenMapping"),
        (lambda: Mock(spec=dict), "Mock"),
        (Mock, "Mock"),
    ],
)
def test_what_only_pretends_to_be_something_is_described(
    make: Callable[[], object], name: str
) -> None:
    assert name in repair(make())


def test_a_container_that_changes_while_it_is_printed_is_copied_first() -> None:
    assert repair(v.growing_list()) == [1, "growing", 2]
    assert repair(v.growing_dict()) == {"1": 1, "2": "growing", "3": 3}


def test_the_value_itself_stays_as_it_was() -> None:
    value = {"a": [1, {2}], 3: (b"x",)}
    repair(value)
    assert value == {"a": [1, {2}], 3: (b"x",)}


def test_interrupting_the_program_is_not_swallowed() -> None:
    class Impatient:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(Impatient())


def test_many_long_representations_stay_within_bounds() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 10_000

    assert len(orjson.dumps(repair([Long()] * 100_000))) < 10 * 2**20


def test_what_a_signal_handler_raises_within_a_representation_reaches_the_application() -> None:
    """Celery's soft time limit does this, in whichever line of Python it strikes."""
    before = signal.signal(signal.SIGUSR1, _raise_timeout)
    try:
        for value in (Interrupted(), [Interrupted()], {"a": {Interrupted()}}):
            with pytest.raises(TimeoutError, match="soft"):
                repair(value)
    finally:
        signal.signal(signal.SIGUSR1, before)


class Interrupted:
    def __repr__(self) -> str:
        signal.raise_signal(signal.SIGUSR1)
        return "not reached"


def _raise_timeout(number: int, frame: object) -> None:
    raise TimeoutError("soft")


def test_times_within_are_never_cut_and_names_that_become_alike_are_all_kept() -> None:
    moment = "2026-01-23T12:00:00.000123Z"
    events = [{"name": "x" * 60, "timestamp": moment} for _ in range(64)]
    attributes = {"k" * 200 + f"{number:02}": "v" * 60 for number in range(20)}
    line = orjson.dumps({"type": "span", "events": events, "attributes": attributes})
    short = shorten(line, 4096)
    kept = [event for event in short["events"] if not event["name"].startswith("…[cut")]
    assert kept
    assert {event["timestamp"] for event in kept} == {moment}
    there = [name for name in short["attributes"] if name != "obswriter.cut"]
    assert len(there) > 1
    if len(there) < 20:
        assert f"cut {20 - len(there)} of 20" in short["attributes"]["obswriter.cut"]
