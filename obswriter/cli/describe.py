"""One event as one line."""

from typing import Any

from .formatting import duration_of, format_duration, moment_of, one_line
from .screen import STYLES, Part

Event = dict[str, Any]


def describe_event(event: Event) -> list[Part]:
    """Return time, type, what state it is in, the trace it belongs to, and what it says."""
    word, state = state_of(event)
    trace_id = str(trace_id_of(event) or "")
    return [
        (f"{format_moment(event)}  ", "dim"),
        (f"{one_line(event.get('type', '?')):<6}  ", ""),
        (f"{one_line(state):<14}  ", STYLES.get(word, "")),
        (f"{one_line(trace_id)[:8]:<8}  ", "dim"),
        (one_line(text_of(event)), ""),
    ]


def format_moment(event: Event) -> str:
    """Return when the event happened or ended, to the millisecond."""
    moment = moment_of(event, "timestamp", "endTime", "recordedAt")
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:23] if moment else " " * 23


def trace_id_of(event: Event) -> str | None:
    """Return the trace that the event is, or belongs to."""
    found = event.get("id") if event.get("type") == "trace" else event.get("traceId")
    return found if isinstance(found, str) else None


def state_of(event: Event) -> tuple[str, str]:
    """Return the word that gives the colour, and the level, status and duration, or value."""
    kind = event.get("type")
    if kind == "log":
        level = str(event.get("level", "?"))
        return level, level
    if kind in ("trace", "span"):
        status = str(event.get("status", "?"))
        seconds = duration_of(event)
        took = "" if seconds is None else format_duration(seconds)
        return status, f"{status if status != 'unset' else '-':<5} {took}"
    value = event.get("value")
    number = f"{value:.6g}" if isinstance(value, int | float) else "-"
    return "", f"{number} {event.get('unit') or ''}".rstrip()


def text_of(event: Event) -> str:
    """Return the message, or the name and what went wrong."""
    if event.get("type") == "log":
        return str(event.get("message", ""))
    attributes = event.get("attributes")
    details = [event.get("comment")]
    if isinstance(attributes, dict):
        error = str(attributes.get("error.type") or "").rpartition(".")[2]
        details += [error, attributes.get("otel.status_description")]
        details.append(str(attributes.get("obswriter.outcome") or "").replace("_", " "))
    return "  ".join(str(part) for part in [event.get("name", ""), *details] if part)
