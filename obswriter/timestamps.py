"""Times as the wire has them: ISO 8601, UTC, six fractional digits, ``Z``; they sort as text."""

from datetime import UTC, datetime
from time import gmtime, strftime
from typing import TypeAlias

TimeInput: TypeAlias = datetime | str | int
"""An aware ``datetime``, an ISO 8601 string with an offset, or integer nanoseconds since 1970."""

_FIRST, _END = -62_135_596_800, 253_402_300_800  # seconds; the years that datetime knows
_REMEDY = (
    "pass an aware datetime (datetime.now(timezone.utc)), an ISO 8601 string with an offset "
    "('2026-01-23T12:00:00Z'), or integer nanoseconds since the epoch (time.time_ns())"
)

# Formatting takes twice as long.
_MILLIS = [f"{number:03}" for number in range(1000)]
_MICROS = [f"{number:03}Z" for number in range(1000)]

# Where the last second formatted starts, and its text: events come many to a second. One tuple,
# so that threads never see the second of one and the text of another.
_last_second: tuple[int, str] = (0, "1970-01-01T00:00:00.")


def iso_from_ns(nanoseconds: int) -> str:
    """Format nanoseconds since the epoch; ``OverflowError`` outside the years 1 to 9999."""
    global _last_second
    start, prefix = _last_second
    rest = nanoseconds - start
    if not 0 <= rest < 1_000_000_000:
        second, rest = divmod(nanoseconds, 1_000_000_000)
        if not _FIRST <= second < _END:
            raise OverflowError("the time is not in the years 1 to 9999")
        # Without datetime: reckoning with it crashes Python 3.13.0 while the interpreter ends.
        prefix = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second)).rjust(20, "0")
        _last_second = (second * 1_000_000_000, prefix)
    micros = rest // 1000
    return prefix + _MILLIS[micros // 1000] + _MICROS[micros % 1000]


def iso_from_datetime(moment: datetime) -> str:
    """Format an aware ``datetime``; ``ValueError`` for a naive one."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment!r} has no time zone")
    return datetime.isoformat(moment.astimezone(UTC), timespec="microseconds")[:26] + "Z"


def to_iso(field: str, value: TimeInput) -> str:
    """Format any accepted time; errors name *field* and say what to pass."""
    try:
        if isinstance(value, datetime):
            return iso_from_datetime(value)
        if isinstance(value, str):
            return iso_from_datetime(datetime.fromisoformat(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return iso_from_ns(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{field}: {error}; {_REMEDY}") from None
    raise TypeError(f"{field}: {value!r} is not a time; {_REMEDY}")
