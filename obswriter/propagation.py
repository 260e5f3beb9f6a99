"""W3C Trace Context and Baggage: who called us, and telling those we call.

https://www.w3.org/TR/trace-context-2/ and https://www.w3.org/TR/baggage/
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from . import context
from .vocabulary import check_text

SAMPLED = 0x01
RANDOM = 0x02

_HEADERS = "traceparent", "tracestate", "baggage"

MOST_STATES = 32  # list-members of a tracestate; with more it is invalid
MOST_BAGGAGE = 64, 8192  # list-members, and bytes in all; the rest is left behind

_is_state = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]").fullmatch
_is_baggage = re.compile(
    r"([!#$%&'*+.^_`|~\w-]+)\s*=\s*([!#-+\--:<-\[\]-~]*)\s*((?:;[\t -+\--:<-~]*)*)", re.ASCII
).fullmatch
_parse = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch


@dataclass(frozen=True, slots=True)
class SpanContext:
    """A span of another process, as ``traceparent`` and ``tracestate`` describe it."""

    trace_id: str
    id: str
    trace_flags: int = SAMPLED
    tracestate: str = ""
    baggage: str = ""

    def __post_init__(self) -> None:
        check_text("trace_id", self.trace_id)
        check_text("id", self.id)


def parse_traceparent(
    traceparent: str | None, tracestate: str = "", baggage: str = ""
) -> SpanContext | None:
    """Read the headers' values; ``None`` if there is no valid parent: start a new trace then.

    A header that came several times is joined by commas; ``traceparent`` must come once.
    """
    match = _parse(traceparent.strip(" \t")) if isinstance(traceparent, str) else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Later versions may say more behind the flags; version 00 may not, and ff is no version.
    invalid = version == "ff" or (version == "00" and rest is not None)
    if invalid or trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    lists = tracestate and parse_tracestate(tracestate), baggage and parse_baggage(baggage)
    return SpanContext(trace_id, span_id, int(flags, 16) & (SAMPLED | RANDOM), *lists)


def parse_tracestate(tracestate: str) -> str:
    """Return a valid list in its shortest form, and an invalid one as empty."""
    members = [member for text in tracestate.split(",") if (member := text.strip(" \t"))]
    valid = len(members) <= MOST_STATES and all(map(_is_state, members))
    return ",".join(members) if valid else ""


def parse_baggage(baggage: str) -> str:
    """Return what is valid of a list, as far as the limits go."""
    kept: list[str] = []
    size = 0
    for text in baggage.split(","):
        member = text.strip(" \t")
        size += len(member) + 1
        if len(kept) < MOST_BAGGAGE[0] and size <= MOST_BAGGAGE[1] and _is_baggage(member):
            kept.append(member)
    return ",".join(kept)


def get_baggage() -> dict[str, str]:
    """Return what the current span carries along, without properties."""
    from urllib.parse import unquote

    members = map(_is_baggage, getattr(context.current(), "baggage", "").split(","))
    return {member[1]: unquote(member[2]) for member in members if member}


def set_baggage(key: str, value: str) -> None:
    """Have the current span, and all that it calls from now on, carry a value along.

    Everybody on the way can read it: no secrets. ``ValueError`` for a *key* that is no token of
    HTTP's. Without a span it does nothing.
    """
    from urllib.parse import quote

    member = f"{key}={quote(value, errors='replace')}"
    if not _is_baggage(member):
        raise ValueError(f"a baggage key must be an HTTP token such as 'tenant'; got {key!r}")
    span = context.current()
    if span is not None and not isinstance(span, SpanContext):
        others = [m for m in span.baggage.split(",") if m.partition("=")[0].strip() != key]
        span.baggage = parse_baggage(",".join([member, *others]))


def format_traceparent(span: context.SpanLike) -> str | None:
    """Return the header's value; ``None`` for a caller's own ids, which it cannot carry."""
    value = f"00-{span.trace_id}-{span.id}-{span.trace_flags:02x}"
    return value if parse_traceparent(value) else None


def extract(carrier: Mapping[str, str]) -> SpanContext | None:
    """Read the caller's span from headers, whatever the case of their names."""
    names = [name for name in carrier if isinstance(name, str) and name.lower() in _HEADERS]
    found = {name.lower(): value for name in names if isinstance(value := carrier[name], str)}
    return parse_traceparent(*(found.get(name, "") for name in _HEADERS))


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current span into headers; without one they stay as they are."""
    span = context.current()
    if span is not None and (value := format_traceparent(span)):
        for name, text in zip(_HEADERS, (value, span.tracestate, span.baggage), strict=True):
            if text:
                carrier[name] = text
