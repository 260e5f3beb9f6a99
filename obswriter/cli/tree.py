"""Draws a trace: spans below their parents, each with its share of the time."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import orjson

from .describe import Event, state_of, text_of, trace_id_of
from .formatting import duration_of, format_count, format_duration, moment_of, one_line
from .screen import STYLES, Part, Screen

BAR_WIDTH = 24
"""Columns of the bars, on terminals that are wide enough."""


def show_trace(screen: Screen, events: list[Event]) -> None:
    """Print the events of one trace."""
    width = min(BAR_WIDTH, max(6, (screen.columns or 4 * BAR_WIDTH) // 4))
    tree = Tree(events, width)
    for parts in tree.heading():
        screen.line(*parts)
    for parts in tree.lines():
        screen.line(*parts, crop=True)


class Node(NamedTuple):
    """What is drawn on one line, and what stands before it."""

    item: Event
    first: str
    rest: str


class Tree:
    """The events of one trace, sorted below their spans."""

    def __init__(self, events: list[Event], bar_width: int = BAR_WIDTH) -> None:
        self._width = bar_width
        self.traces = [event for event in events if event.get("type") == "trace"]
        self.spans = [event for event in events if event.get("type") == "span"]
        self.spans.sort(key=_sort_key)
        others = [event for event in events if event.get("type") in ("log", "metric", "score")]
        self._trace_id = next(filter(None, map(trace_id_of, events)), "")
        self._start, self._seconds = _extent(self.spans or self.traces or others)
        ids = {_id(span, "id") for span in self.spans} - {None}
        self._below: dict[str | None, list[Event]] = defaultdict(list)
        for event in [*self.spans, *others]:
            parent = _parent_of(event)
            self._below[parent if parent in ids else None].append(event)

    def heading(self) -> Iterator[list[Part]]:
        """Yield what is said of the trace as a whole."""
        main = min(self.traces or self.spans, key=_sort_key, default={})
        began = f"{self._start:%Y-%m-%d %H:%M:%S.%f}"[:23] if self._start else ""
        status = _overall([*self.traces, *self.spans])
        yield [
            (f"{one_line(main.get('name', 'trace'))}  ", "bold"),
            (f"{status}  " if status != "unset" else "", STYLES.get(status, "")),
            (f"{format_duration(self._seconds)}  ", ""),
            (f"{began}  {one_line(self._trace_id)}", "dim"),
        ]
        spans = format_count(len(self.spans), "span")
        yield [(f"{spans}, {format_count(len(self.traces), 'local root')}", "dim")]
        for trace in sorted(self.traces, key=_sort_key):
            for name in ("input", "output", "metadata"):
                if name in trace:
                    yield [(f"{name}: ", "dim"), (_brief(trace[name]), "")]

    def lines(self) -> Iterator[list[Part]]:
        """Yield the tree's lines. Each span's children are taken once, whatever its parents say."""
        stack = _roots(self._take(None))
        while stack or any(self._below.values()):
            if not stack:  # spans that are one another's parents
                stack = _roots(self._take(next(key for key in self._below if self._below[key])))
            node = stack.pop()
            yield self._line(node)
            if node.item.get("type") == "span":
                children = [*_events_of(node.item), *self._take(_id(node.item, "id"))]
                stack += _nodes(sorted(children, key=_sort_key), node.rest)

    def _take(self, parent: str | None) -> list[Event]:
        return sorted(self._below.pop(parent, []), key=_sort_key)

    def _line(self, node: Node) -> list[Part]:
        item = node.item
        if item.get("type") == "span":
            return [*self._bar(item), (node.first, "dim"), *_span_parts(item)]
        return [*self._offset(item), (node.first, "dim"), *_leaf_parts(item)]

    def _bar(self, span: Event) -> list[Part]:
        start, seconds = moment_of(span, "startTime"), duration_of(span)
        if start is None or seconds is None or self._start is None:
            return [(" " * (self._width + 2), "")]
        scale = self._width / self._seconds if self._seconds else 0
        before = min(self._width - 1, int((start - self._start).total_seconds() * scale))
        length = max(1, min(self._width - before, round(seconds * scale)))
        style = "red" if span.get("status") == "error" else "cyan"
        after = self._width - before - length
        return [("·" * before, "dim"), ("█" * length, style), ("·" * after + "  ", "dim")]

    def _offset(self, item: Event) -> list[Part]:
        moment = moment_of(item, "timestamp")
        text = ""
        if moment is not None and self._start is not None:
            offset = (moment - self._start).total_seconds()
            text = f"{'-' if offset < 0 else '+'}{format_duration(abs(offset))}"
        return [(f"{text:>{self._width}}  ", "dim")]


def _roots(items: list[Event]) -> list[Node]:
    return [Node(item, "", "") for item in reversed(items)]


def _nodes(items: list[Event], indent: str) -> list[Node]:
    """Return what is drawn below a span, in the order of a stack."""
    nodes = [Node(item, f"{indent}├─ ", f"{indent}│  ") for item in items]
    if nodes:
        nodes[-1] = Node(items[-1], f"{indent}└─ ", f"{indent}   ")
    return nodes[::-1]


def _brief(value: object) -> str:
    return one_line(value if isinstance(value, str) else orjson.dumps(value).decode())


def _parent_of(event: Event) -> str | None:
    return _id(event, "parentSpanId" if event.get("type") == "span" else "spanId")


def _id(event: Event, name: str) -> str | None:
    found = event.get(name)
    return found if isinstance(found, str) else None


def _sort_key(event: Event) -> str:
    return str(event.get("startTime") or event.get("timestamp") or "")


def _extent(events: list[Event]) -> tuple[datetime | None, float]:
    moments = [moment_of(event, "startTime", "timestamp") for event in events]
    moments += [moment_of(event, "endTime", "timestamp") for event in events]
    known = [moment for moment in moments if moment is not None]
    return (min(known), (max(known) - min(known)).total_seconds()) if known else (None, 0.0)


def _overall(events: list[Event]) -> str:
    statuses = {event.get("status") for event in events}
    return next((status for status in ("error", "ok", "unset") if status in statuses), "unset")


def _events_of(span: Event) -> list[Event]:
    events = span.get("events")
    return [e for e in events if isinstance(e, dict)] if isinstance(events, list) else []


def _span_parts(span: Event) -> list[Part]:
    status, state = state_of(span)
    kind = span.get("spanKind", "internal")
    duration = state.removeprefix("-").removeprefix(status).strip()
    parts = [(one_line(text_of(span)), STYLES["error"] if status == "error" else "bold")]
    parts.append((f"  {duration}", ""))
    if kind != "internal":
        parts.append((f"  {one_line(kind)}", "blue"))
    if status != "unset":
        parts.append((f"  {one_line(status)}", STYLES.get(status, "")))
    return parts


def _leaf_parts(item: Event) -> list[Part]:
    kind = item.get("type")
    if kind == "log":
        level, _ = state_of(item)
        return [(f"{one_line(level)}  ", STYLES.get(level, "")), (one_line(text_of(item)), "")]
    if kind in ("metric", "score"):
        _, value = state_of(item)
        return [(f"{kind}  ", "magenta"), (f"{one_line(text_of(item))} = {one_line(value)}", "")]
    return _event_parts(item)


def _event_parts(event: Event) -> list[Part]:
    attributes = event.get("attributes")
    found = attributes if isinstance(attributes, dict) else {}
    if "exception.type" not in found:
        return [("event  ", "blue"), (one_line(event.get("name", "")), "")]
    text = f"{found['exception.type']}: {found.get('exception.message', '')}"
    return [("exception  ", STYLES["error"]), (one_line(text), "")]
