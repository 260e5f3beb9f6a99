"""Event ⇄ line: one JSON object, UTF-8, ``\\n`` at its end, encoded once with orjson.

What JSON cannot hold is repaired (``repair.py``), never refused; what is too long is cut.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import time_ns
from typing import Any

import orjson

from .events import Event, as_event
from .interruption import pass_on_interruption
from .redaction import Redactor
from .repair import repair, shorten
from .timestamps import iso_from_ns

EventInput = Event | Mapping[str, Any]

MAX_EVENT_SIZE = 1024 * 1024

# Everything orjson would print in its own way goes through repair() instead, so that there is
# one form for each: datetimes without microseconds would lose their six digits, for example.
_STRICT = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
_STRICT |= orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_dumps = orjson.dumps
_redactor = Redactor()


def encode(
    wire: dict[str, Any], max_size: int = MAX_EVENT_SIZE, redactor: Redactor | None = _redactor
) -> tuple[bytes, bool]:
    """Make the line of a wire dict; never raises, whatever the values are.

    Returns also whether a value had to be repaired or cut.
    """
    try:
        data = _dumps(wire, None, _STRICT)
        repaired = False
    except Exception as error:  # orjson passes on what a hostile object raises
        pass_on_interruption(error)
        wire = {name: repair(value) for name, value in wire.items()}
        data = _dumps(wire, None, _STRICT)
        repaired = True
    if redactor is not None and redactor.concerns(wire):
        data = _dumps(redactor.clean(data), None, _STRICT)
    if len(data) <= max_size:
        return data, repaired
    return _dumps(shorten(data, max_size), None, _STRICT), True


def serialize_event(event: EventInput, project_id: str = "default") -> bytes:
    """Return the event's line. A mapping needs a ``type``; *project_id* counts without its own."""
    return encode(as_event(event).to_wire(project_id, iso_from_ns(time_ns())))[0]


def serialize_events(events: Iterable[EventInput], project_id: str = "default") -> bytes:
    """Return the events' lines, one after the other."""
    return b"".join(serialize_event(event, project_id) for event in events)


def estimate_event_size(event: EventInput, project_id: str = "default") -> int:
    """Return the exact length of the event's line in bytes."""
    return len(serialize_event(event, project_id))


def parse_jsonl(
    data: bytes | str, on_damaged: Callable[[int, bytes], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL text, split on ``\\n`` only; blank lines are skipped.

    A line that is no JSON object raises ``ValueError`` with its number, unless *on_damaged*
    takes the number (from 1) and the bytes. Lines holding NUL bytes, as a power loss leaves
    them, are passed over without it.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
            if not isinstance(value, dict):
                raise ValueError(f"expected a JSON object, got {type(value).__name__}")
        except ValueError as error:
            if on_damaged is not None:
                on_damaged(number, line)
            elif b"\0" not in line:
                raise ValueError(f"line {number}: {error}") from None
            continue
        yield value


def whole_lines(data: bytes) -> tuple[bytes, int]:
    """Return what is intact of a segment's bytes, and how many holes were left out.

    A killed process leaves zeros where a line was reserved and not written, and the last line
    may be torn. What follows a hole is kept.
    """
    *lines, torn = data.split(b"\n")
    holes = int(torn.strip(b"\0") != b"")
    kept: list[bytes] = []
    for line in lines:
        rest = line.rpartition(b"\0")[2]  # all of it, without a hole
        whole = _is_event(rest)
        holes += rest != line or not whole
        if whole:
            kept.append(rest + b"\n")
    return b"".join(kept), holes


def _is_event(line: bytes) -> bool:
    try:
        return line.startswith(b'{"type":') and bool(orjson.loads(line))
    except ValueError:
        return False
