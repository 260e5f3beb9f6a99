"""The five events. Instances are checked when they are made and treated as immutable.

Python names are snake_case, wire names camelCase; ``None`` means unset and stays off the wire.
Times are kept as their wire text.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from time import time_ns
from typing import Any, ClassVar, Self

from .ids import new_span_id, new_trace_id
from .timestamps import TimeInput
from .vocabulary import CHECKS, EventType, Level, SpanKind, Status, check_word, nearest

Attributes = Mapping[str, Any]


def _check_events(field: str, value: Any) -> list["SpanEvent"]:
    if isinstance(value, Mapping | str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{field} must be a list of SpanEvents or mappings; got {value!r}")
    return [SpanEvent.of(event) for event in value]


_CHECKS = {**CHECKS, "events": _check_events}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


class _Checked:
    """Fields that are checked when an instance is made, and that a mapping may bring."""

    __slots__ = ()

    type: ClassVar[str]
    _names: ClassVar[dict[str, str]]
    _checks: ClassVar[list[tuple[str, bool, Callable[[str, Any], Any]]]]
    _wire_names: ClassVar[tuple[str, ...]]
    _values: ClassVar[Callable[[Any], tuple[Any, ...]]]

    @classmethod
    def _learn_fields(cls) -> None:
        known = {f.name: f.default is None for f in fields(cls)}  # type: ignore[arg-type]
        cls._names = {alias: name for name in known for alias in (name, _camel(name))}
        cls._checks = [(n, known[n], _CHECKS[n]) for n in known if n in _CHECKS]
        python = [name for name in known if name != "recorded_at"]
        cls._wire_names = ("type", *map(_camel, python))
        cls._values = attrgetter("type", *python)

    def __post_init__(self) -> None:
        for name, optional, check in self._checks:
            value = getattr(self, name)
            if value is not None or not optional:
                setattr(self, name, check(name, value))

    @classmethod
    def of(cls, given: Any) -> Self:
        """Return an instance as it is, and make one of a mapping; ``TypeError`` for all else."""
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            return cls.from_mapping(given)
        raise TypeError(f"a {cls.type} must be a {cls.__name__} or a mapping; got {given!r}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Build it from snake_case or wire names; ``ValueError`` names a wrong key."""
        arguments: dict[str, Any] = {}
        for key, value in mapping.items():
            name = cls._names.get(key)
            if key == "type":
                check_word("type", value, (cls.type,))
            elif name is None:
                near = nearest(key, cls._names)
                known = ", ".join(dict.fromkeys(cls._names.values()))
                raise ValueError(f"unknown key {key!r} in a {cls.type}{near}; it has {known}")
            elif name in arguments:
                raise ValueError(f"a {cls.type} has {name!r} twice, once as {key!r}")
            elif value is not None:
                arguments[name] = value
        return cls(**arguments)


@dataclass(slots=True, kw_only=True)
class SpanEvent(_Checked):
    """Something that happened at one moment of a span."""

    type: ClassVar[str] = "span event"

    name: str
    timestamp: TimeInput = field(default_factory=time_ns)
    attributes: Attributes | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the fields that are set, under their wire names."""
        wire = {"name": self.name, "timestamp": self.timestamp, "attributes": self.attributes}
        return {name: value for name, value in wire.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class Event(_Checked):
    """What the five have in common."""

    type: ClassVar[EventType]

    id: str = field(default_factory=new_span_id)
    project_id: str | None = None
    recorded_at: TimeInput | None = None

    def to_wire(self, project_id: str, recorded_at: str) -> dict[str, Any]:
        """Return the event under its wire names: ``type`` first, ``recordedAt`` last.

        *project_id* and *recorded_at* count where the event brings none of its own.
        """
        # Checking that there are as many names as values would cost a tenth of it.
        fields = zip(self._wire_names, type(self)._values(self))  # noqa: B905
        wire = {name: value for name, value in fields if value is not None}
        wire.setdefault("projectId", project_id)
        wire["recordedAt"] = self.recorded_at or recorded_at
        return wire


@dataclass(slots=True, kw_only=True)
class _Period(Event):
    """What has a beginning, an end and an outcome."""

    name: str
    start_time: TimeInput
    end_time: TimeInput
    status: Status = "unset"


@dataclass(slots=True, kw_only=True)
class Trace(_Period):
    """One request, task or job from its beginning to its end, in one process."""

    type: ClassVar[EventType] = "trace"

    id: str = field(default_factory=new_trace_id)
    input: Any = None
    output: Any = None
    metadata: Attributes | None = None


@dataclass(slots=True, kw_only=True)
class Span(_Period):
    """One operation within a trace."""

    type: ClassVar[EventType] = "span"

    trace_id: str
    parent_span_id: str | None = None
    span_kind: SpanKind | None = None
    attributes: Attributes | None = None
    events: Iterable[SpanEvent | Attributes] | None = None

    def to_wire(self, project_id: str, recorded_at: str) -> dict[str, Any]:
        """Return the span under its wire names, its events included."""
        # Written out, since most events are spans: a loop over the fields takes twice as long.
        wire: dict[str, Any] = {
            "type": "span",
            "id": self.id,
            "traceId": self.trace_id,
            "parentSpanId": self.parent_span_id,
            "projectId": self.project_id or project_id,
            "name": self.name,
            "startTime": self.start_time,
            "endTime": self.end_time,
            "status": self.status,
            "spanKind": self.span_kind,
            "attributes": self.attributes,
            "events": self.events and [SpanEvent.of(event).to_wire() for event in self.events],
            "recordedAt": self.recorded_at or recorded_at,
        }
        for name in ("parentSpanId", "spanKind", "attributes", "events"):
            if wire[name] is None:
                del wire[name]
        return wire


@dataclass(slots=True, kw_only=True)
class _Moment(Event):
    """What happens at one moment. Without ids of its own it belongs to the current span."""

    timestamp: TimeInput = field(default_factory=time_ns)
    trace_id: str | None = None
    span_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Log(_Moment):
    """One log record."""

    type: ClassVar[EventType] = "log"

    level: Level
    message: str
    attributes: Attributes | None = None


@dataclass(slots=True, kw_only=True)
class Metric(_Moment):
    """One measured value. Units are written as in UCUM: ``s``, ``ms``, ``By``, ``1``."""

    type: ClassVar[EventType] = "metric"

    name: str
    value: float
    unit: str | None = None
    attributes: Attributes | None = None


@dataclass(slots=True, kw_only=True)
class Score(_Moment):
    """One judgement of a trace or span: an evaluation, a rating, a user's thumb."""

    type: ClassVar[EventType] = "score"

    name: str
    value: float
    comment: str | None = None
    attributes: Attributes | None = None


EVENT_CLASSES: dict[str, type[Event]] = {cls.type: cls for cls in (Trace, Span, Log, Metric, Score)}
for _class in EVENT_CLASSES.values():
    _class._learn_fields()
SpanEvent._learn_fields()


def as_event(given: Any) -> Event:
    """Return an event as it is, and make of a mapping the one that its ``type`` names."""
    if isinstance(given, Event):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"an event, or a mapping with a 'type', is needed; got {given!r}")
    kind = check_word("type", given.get("type"), tuple(EVENT_CLASSES))
    return EVENT_CLASSES[kind].from_mapping(given)


def trace_of(root: dict[str, Any], own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the trace event that a local root also is, from its span's wire dict.

    *own* are the fields that only a trace has.
    """
    wire = {"type": "trace", "id": root["traceId"]}
    for name in ("projectId", "name", "startTime", "endTime", "status"):
        wire[name] = root[name]
    if own is not None:
        wire.update((name, value) for name, value in own.items() if value is not None)
    wire["recordedAt"] = root["recordedAt"]
    return wire
