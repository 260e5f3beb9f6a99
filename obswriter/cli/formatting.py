"""Durations, sizes and texts as people read them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_is_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(value: object) -> str:
    """Return *value* as text that stays on its line and cannot steer the terminal."""
    text = value if isinstance(value, str) else str(value)
    return _is_control.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def format_duration(seconds: float) -> str:
    """Return three digits or so: ``850 µs``, ``12.3 ms``, ``1.25 s``, ``2m 05s``, ``3h 20m``."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{_three_digits(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def format_size(size: float) -> str:
    """Return bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def format_count(count: int, singular: str, plural: str = "") -> str:
    """Return ``1 file``, ``2 files``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def format_second(moment: datetime) -> str:
    """Return a moment to the second, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def moment_of(event: Mapping[str, Any], *names: str) -> datetime | None:
    """Return the first of these fields that holds a time."""
    for name in names:
        try:
            moment = datetime.fromisoformat(event.get(name, ""))
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is not None:
            return moment
    return None


def duration_of(event: Mapping[str, Any]) -> float | None:
    """Return the seconds a span or trace took."""
    start, end = moment_of(event, "startTime"), moment_of(event, "endTime")
    return (end - start).total_seconds() if start and end else None
