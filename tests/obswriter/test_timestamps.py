"""Times come out in one form: UTC, six fractional digits, `Z`, in an order that is the text's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obswriter.timestamps import iso_from_datetime, iso_from_ns, to_iso

FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_NS = -62_135_596_800_000_000_000  # year 1
LAST_NS = 253_402_300_799_999_999_999  # year 9999

zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
aware = st.datetimes(
    datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones, allow_imaginary=False
)


@given(aware)
def test_a_datetime_comes_back_as_the_same_moment(moment: datetime) -> None:
    text = iso_from_datetime(moment)
    assert FORM.fullmatch(text)
    assert datetime.fromisoformat(text) == moment


@given(st.integers(FIRST_NS, LAST_NS))
def test_nanoseconds_come_back_to_the_microsecond(nanoseconds: int) -> None:
    text = iso_from_ns(nanoseconds)
    assert FORM.fullmatch(text)
    assert (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) == (
        nanoseconds // 1000
    )


@given(aware)
def test_an_iso_string_gives_what_its_datetime_gives(moment: datetime) -> None:
    assert to_iso("start_time", moment.isoformat()) == iso_from_datetime(moment)


@given(st.lists(st.integers(FIRST_NS, LAST_NS), min_size=2, max_size=20))
def test_texts_sort_as_the_moments_do(moments: list[int]) -> None:
    assert [iso_from_ns(n) for n in sorted(moments)] == sorted(iso_from_ns(n) for n in moments)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 23, 12, tzinfo=UTC), "2026-01-23T12:00:00.000000Z"),
        (datetime(2026, 1, 23, 12, 0, 0, 123, UTC), "2026-01-23T12:00:00.000123Z"),
        ("2026-01-23T12:00:00Z", "2026-01-23T12:00:00.000000Z"),
        ("2026-01-23T14:00:00.5+02:00", "2026-01-23T12:00:00.500000Z"),
        ("2026-01-23T12:00:00.123456789Z", "2026-01-23T12:00:00.123456Z"),
        ("20260123T120000Z", "2026-01-23T12:00:00.000000Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_769_169_600_000_123_999, "2026-01-23T12:00:00.000123Z"),
    ],
)
def test_every_accepted_form_gives_six_digits(value: Any, text: str) -> None:
    assert to_iso("timestamp", value) == text


@pytest.mark.parametrize(
    "value", [datetime(2026, 1, 23, 12), "2026-01-23T12:00:00", "2026-01-23", "", "yesterday"]
)
def test_a_time_without_a_zone_is_refused_and_the_error_says_what_to_pass(value: Any) -> None:
    with pytest.raises(ValueError, match=r"start_time: .*datetime\.now\(timezone\.utc\)") as caught:
        to_iso("start_time", value)
    assert str(caught.value).count("pass an aware datetime") == 1


@pytest.mark.parametrize("value", [True, 1.5, None, b"2026-01-23T12:00:00Z", [0], object()])
def test_what_is_no_time_is_a_type_error_that_says_what_to_pass(value: Any) -> None:
    with pytest.raises(TypeError, match=r"end_time: .* is not a time; pass an aware datetime"):
        to_iso("end_time", value)


@pytest.mark.parametrize(
    "value",
    [
        FIRST_NS - 1,
        LAST_NS + 1,
        10**40,
        -(10**40),
        pytest.param(10**5000, id="more digits than Python prints"),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_what_lies_outside_the_years_1_to_9999_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="timestamp: "):
        to_iso("timestamp", value)


def test_a_zone_that_knows_no_offset_counts_as_no_zone() -> None:
    class Undecided(tzinfo):
        def utcoffset(self, moment: datetime | None) -> None:
            return None

    with pytest.raises(ValueError, match="has no time zone"):
        iso_from_datetime(datetime(2026, 1, 1, tzinfo=Undecided()))


def test_a_datetime_that_prints_itself_differently_has_the_same_form() -> None:
    class Chatty(datetime):
        def isoformat(self, *args: Any, **kwargs: Any) -> str:
            return "noonish"

    assert to_iso("t", Chatty(2026, 1, 23, 12, tzinfo=UTC)) == "2026-01-23T12:00:00.000000Z"


def test_pandas_moments_work_and_its_missing_one_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    assert to_iso("t", pandas.Timestamp("2026-01-23T12:00Z")) == "2026-01-23T12:00:00.000000Z"
    with pytest.raises(ValueError, match="t: NaT"):
        to_iso("t", pandas.NaT)


def test_seconds_asked_for_in_turn_do_not_mix_up_their_texts() -> None:
    first, second = 1_769_169_600_000_000_000, 1_769_169_601_500_000_000
    for _ in range(3):
        assert iso_from_ns(first) == "2026-01-23T12:00:00.000000Z"
        assert iso_from_ns(second) == "2026-01-23T12:00:01.500000Z"
