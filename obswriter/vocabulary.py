"""What an event's fields may hold: the contract's closed sets of words, and the checks."""

import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from .timestamps import to_iso

EventType = Literal["trace", "span", "log", "metric", "score"]
Status = Literal["ok", "error", "unset"]
SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
Level = Literal["debug", "info", "warn", "error", "fatal"]

EVENT_TYPES: tuple[EventType, ...] = ("trace", "span", "log", "metric", "score")
STATUSES: tuple[Status, ...] = ("ok", "error", "unset")
SPAN_KINDS: tuple[SpanKind, ...] = ("internal", "server", "client", "producer", "consumer")
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error", "fatal")

_is_project_id = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch


def nearest(word: object, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the known word most like *word*, or an empty string."""
    import difflib  # only on the way to an error

    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def check_word(field: str, value: Any, known: tuple[str, ...]) -> str:
    """Return *value*; ``ValueError`` unless it is one of the *known* words."""
    if value not in known:
        words = ", ".join(known)
        raise ValueError(f"{field} must be one of {words}; got {value!r}{nearest(value, known)}")
    return known[known.index(value)]


def check_project_id(value: object) -> str:
    """Return *value*; ``ValueError`` unless it can be a project: it becomes a directory name."""
    if not isinstance(value, str) or value == "processed" or not _is_project_id(value):
        wanted = "1 to 128 of the characters A-Z a-z 0-9 _ - and not 'processed'"
        raise ValueError(f"project_id must be {wanted}; got {value!r}")
    return str.__str__(value)  # an enum's member would make a directory of its own name


def check_text(field: str, value: Any, *, empty: bool = False) -> str:
    """Return *value*; an error unless it is a string, and not an empty one."""
    if not isinstance(value, str):
        raise TypeError(f"{field} must be a string; got {value!r}")
    if not value and not empty:
        raise ValueError(f"{field} must not be empty")
    return value


def check_mapping(field: str, value: Any) -> Mapping[str, Any]:
    """Return *value*; ``TypeError`` unless it is a mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} must be a mapping of names to values; got {value!r}")
    return value


def to_number(value: object) -> int | float:
    """Return *value* as a number that JSON has; ``TypeError`` if it is none."""
    if type(value) is float or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    if not isinstance(value, numbers.Real | Decimal) or isinstance(value, bool):
        raise TypeError(f"value must be a number; got {value!r}")
    if isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return float("inf")  # on the wire null, as is all that JSON has no number for


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("id", "trace_id", "span_id", "parent_span_id", "name"), check_text),
    **dict.fromkeys(("message", "unit", "comment"), lambda f, v: check_text(f, v, empty=True)),
    **dict.fromkeys(("start_time", "end_time", "timestamp", "recorded_at"), to_iso),
    **dict.fromkeys(("attributes", "metadata"), check_mapping),
    "project_id": lambda _, value: check_project_id(value),
    "status": lambda field, value: check_word(field, value, STATUSES),
    "span_kind": lambda field, value: check_word(field, value, SPAN_KINDS),
    "level": lambda field, value: check_word(field, value, LEVELS),
    "value": lambda _, value: to_number(value),
}
"""For each field its check: takes its name and value, and returns the value as kept, or raises."""
