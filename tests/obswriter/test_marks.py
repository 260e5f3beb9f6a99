"""The marks of what has begun: slots that hold whole beginnings or nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obswriter.marks import SLOT, SLOTS, StartMarks, read_marks
from obswriter.serializer import encode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="marks are kept in mapped files")


def mark(number: int, **fields: Any) -> dict[str, Any]:
    start = f"2026-01-23T12:00:00.{number:06d}Z"
    wire = {"type": "span", "id": str(number), "traceId": "t", "projectId": "p"}
    return {**wire, "name": "work", "startTime": start, **fields}


def line(number: int, **fields: Any) -> bytes:
    return encode(mark(number, **fields), SLOT - 1)[0]


@pytest.fixture
def marks(tmp_path: Path) -> StartMarks:
    return StartMarks(str(tmp_path / "started"))


def test_what_is_marked_can_be_read_until_it_is_cleared(marks: StartMarks) -> None:
    first = marks.set(line(1, attributes={"a": 1}))
    marks.set(line(2))
    found = sorted(read_marks(marks.path), key=lambda wire: wire["id"])
    assert found == [mark(1, attributes={"a": 1}), mark(2)]
    marks.clear(first)
    assert list(read_marks(marks.path)) == [mark(2)]


def test_a_short_mark_in_the_place_of_a_long_one_is_itself(marks: StartMarks) -> None:
    marks.clear(marks.set(line(1, name="x" * 500)))
    marks.set(line(2))
    assert list(read_marks(marks.path)) == [mark(2)]


def test_what_is_too_long_is_cut_and_what_cannot_be_cut_leaves_no_mark(marks: StartMarks) -> None:
    marks.set(line(1, attributes={"body": "x" * 10_000}))
    [found] = read_marks(marks.path)
    assert found["attributes"]["body"].endswith("]")
    assert marks.set(b"x" * SLOT) == -1
    assert len(list(read_marks(marks.path))) == 1


def test_beyond_the_slots_there_are_no_marks_and_no_errors(marks: StartMarks) -> None:
    taken = [marks.set(line(number)) for number in range(SLOTS)]
    assert marks.set(line(999)) == -1
    assert len({read["id"] for read in read_marks(marks.path)}) == SLOTS
    marks.clear(taken[0])
    assert marks.set(line(999)) == taken[0]
    assert {read["id"] for read in read_marks(marks.path)} == {*map(str, range(1, SLOTS)), "999"}


def test_a_mark_may_be_cleared_after_its_file_is_gone(marks: StartMarks) -> None:
    at = marks.set(line(1))
    os.unlink(marks.path)
    marks.clear(at)
    assert list(read_marks(marks.path)) == []


@pytest.mark.parametrize(
    "slot",
    [
        b"",
        line(1)[:30],
        b"[1]\n",
        b"7\n",
        b"{}\n",
        orjson.dumps(mark(1, projectId="../etc")) + b"\n",
        orjson.dumps(mark(1, projectId=7)) + b"\n",
        orjson.dumps(mark(1, startTime="soon")) + b"\n",
        orjson.dumps(mark(1, startTime=None)) + b"\n",
        orjson.dumps(mark(1, type="log")) + b"\n",
        orjson.dumps(mark(1, traceId="")) + b"\n",
        orjson.dumps(mark(1, name=None)) + b"\n",
        orjson.dumps(mark(1, attributes="x")) + b"\n",
    ],
)
def test_what_is_no_whole_and_valid_mark_is_passed_over(slot: bytes, tmp_path: Path) -> None:
    (tmp_path / "started").write_bytes((b"\1" + slot).ljust(SLOT, b"\0") + b"\1" + line(2))
    assert list(read_marks(str(tmp_path / "started"))) == [mark(2)]


def test_a_mark_that_is_not_finished_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "started").write_bytes((b"\0" + line(1)).ljust(SLOT, b"\0") + b"\1" + line(2))
    assert list(read_marks(str(tmp_path / "started"))) == [mark(2)]


@given(st.binary(max_size=3 * SLOT))
def test_no_bytes_are_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("marks") / "started"
    path.write_bytes(data)
    assert all(wire["projectId"] for wire in read_marks(str(path)))


def test_at_no_moment_does_a_slot_count_that_is_not_whole(marks: StartMarks) -> None:
    marks.clear(marks.set(line(1)))
    moments = []

    class Watched:
        def __setitem__(self, where: int | slice, what: Any, map: Any = marks._map) -> None:
            map[where] = what
            moments.append(list(read_marks(marks.path)))

    marks._map = Watched()  # type: ignore[assignment]
    marks.set(line(2))
    assert moments == [[], [mark(2)]]
