"""Times and sizes as people read them."""

from __future__ import annotations

import pytest

from obswriter.cli.formatting import format_duration, format_size, one_line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.00085, "850 µs"),
        (0.0123, "12.3 ms"),
        (0.00999, "9.99 ms"),
        (0.1534, "153 ms"),
        (1.2345, "1.23 s"),
        (59.94, "59.9 s"),
        (59.99, "1m 00s"),
        (125, "2m 05s"),
        (3 * 3600 + 20 * 60, "3h 20m"),
        (0.00099999, "1.00 ms"),
        (0.9999, "1.00 s"),
        (9.999, "10.0 s"),
    ],
)
def test_durations_have_three_digits_or_so(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**4, "5.0 TiB")],
)
def test_sizes_come_in_a_unit_that_suits_them(size: int, text: str) -> None:
    assert format_size(size) == text


def test_text_cannot_leave_its_line_or_steer_the_terminal() -> None:
    assert one_line("a\nb\r\x1b[2J\x9b\u2028\u202eö") == "a\\nb\\r\\x1b[2J\\x9b\\u2028\\u202eö"
