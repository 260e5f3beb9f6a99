"""Turns any Python value into one that JSON has, readable, without ever raising."""

import dataclasses
import enum
import numbers
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from .interruption import pass_on_interruption
from .timestamps import iso_from_datetime

MAX_DEPTH = 100
MAX_VALUES = 200_000
MAX_REPR = 4096
TIME = 27  # characters of a time: it is never cut

_ESCAPE = "backslashreplace"


def repair(value: object) -> Any:
    """Return *value* with everything JSON lacks replaced."""
    return _Repair().value(value)


class _Repair:
    """One repair: the containers around the value at hand, and how many values may still come.

    Objects that all refer to each other have more paths through them than anyone can walk.
    """

    def __init__(self) -> None:
        self.above: set[int] = set()
        self.left = MAX_VALUES

    def value(self, value: object) -> Any:
        self.left -= 1
        if self.left < 0:
            return "<too many values>"
        if value is None or type(value) in (bool, float):
            return value
        if type(value) is str:
            return _text(value)
        if id(value) in self.above:
            return "<circular reference>"
        if len(self.above) >= MAX_DEPTH:
            return "<nested too deeply>"
        self.above.add(id(value))
        try:
            return self._convert(value)
        except Exception as error:
            pass_on_interruption(error)
            return self._representation(value)
        finally:
            self.above.discard(id(value))

    def _convert(self, value: Any) -> Any:
        kind: Any = type(value)
        for method in ("_asdict", "model_dump"):  # of named tuples, and of pydantic's models
            if hasattr(kind, method):
                return self.value(getattr(value, method)())
        for known, convert in _CONVERTERS:
            if isinstance(value, known):
                return convert(self, value)
        fields = getattr(kind, "__attrs_attrs__", None)
        if dataclasses.is_dataclass(kind):
            fields = dataclasses.fields(kind)
        if fields is not None:
            names = [field.name for field in fields if field.repr]  # as their author prints them
            return self.mapping((name, getattr(value, name, None)) for name in names)
        if hasattr(kind, "tolist") and hasattr(kind, "dtype"):  # numpy and its kin
            return self.value(value.tolist())
        return self._representation(value)

    def mapping(self, items: Iterable[tuple[object, object]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in self._some(items):
            name = self.value(key)
            if not isinstance(name, str):
                name = orjson.dumps(name).decode()
            result[_unused(name, result)] = self.value(value)  # 1 and "1" are two keys in Python
        return result

    def sequence(self, items: Iterable[object]) -> list[Any]:
        return [self.value(item) for item in self._some(items)]

    def _some(self, items: Iterable[Any]) -> Iterator[Any]:
        """Go through a copy, since printing an item may change what it is in, up to the mark."""
        for item in list(islice(items, self.left + 1)):
            yield item
            if self.left < 0:
                return

    def _representation(self, value: object) -> str:
        try:
            text = _text(cut(str.__str__(repr(value)), MAX_REPR))
        except Exception as error:
            pass_on_interruption(error)
            text = f"<unprintable {type.__dict__['__name__'].__get__(type(value))}>"
        self.left -= len(text) // 32  # many long ones would fill the memory
        return text


def _unused(name: str, names: Mapping[str, Any]) -> str:
    while name in names:
        name += f"#{len(names) + 1}"
    return name


def _text(value: str) -> str:
    """Lone surrogates have no UTF-8: they come out as ``\\udc80``."""
    return str.encode(value, "utf-8", _ESCAPE).decode()


def _integer(value: Any) -> int | str:
    plain = int(value)
    if -(2**63) <= plain < 2**64:
        return plain
    # Decimal digits of a huge integer take quadratic time, and Python refuses them.
    return str(plain) if plain.bit_length() < 4096 else hex(plain)


# In this order: an Enum may be a str or an int, a datetime is a date, each number a Complex.
# The abstract numbers are numpy's too.
_CONVERTERS: tuple[tuple[Any, Callable[[_Repair, Any], Any]], ...] = (
    (enum.Enum, lambda repair, value: repair.value(value.value)),
    (str, lambda _, value: _text(value)),
    ((dict, Mapping), lambda repair, value: repair.mapping(value.items())),
    ((list, tuple, deque), _Repair.sequence),
    ((set, frozenset), lambda repair, value: sorted(repair.sequence(value), key=str)),
    (datetime, lambda _, value: iso_from_datetime(value) if value.tzinfo else value.isoformat()),
    ((date, time), lambda _, value: value.isoformat()),
    (timedelta, lambda _, value: value.total_seconds()),
    ((int, numbers.Integral), lambda _, value: _integer(value)),
    ((float, numbers.Real), lambda _, value: float(value)),
    ((UUID, Decimal, numbers.Complex), lambda _, value: str(value)),
    ((bytes, bytearray, memoryview), lambda _, value: bytes(value).decode("utf-8", _ESCAPE)),
    (os.PathLike, lambda repair, value: repair.value(os.fspath(value))),
)


# The event's identity, times and outcome survive every cut.
_KEPT = frozenset(
    "type id traceId spanId parentSpanId projectId startTime endTime timestamp status level "
    "spanKind value recordedAt".split()
)
_IDS = frozenset(("id", "traceId", "spanId", "parentSpanId"))


def shorten(line: bytes, max_size: int) -> dict[str, Any]:
    """Return a line's object with its largest values cut, so that it fits *max_size* bytes.

    The longest strings, lists and mappings lose their ends first, and a mark says how much is
    missing. Ids are cut only where they alone are too long.
    """
    full = orjson.loads(line)
    for limit in (65536, 16384, 4096, 1024, 256, 64, 16, 0):
        wire = {name: v if name in _KEPT else cut(v, limit) for name, v in full.items()}
        if len(orjson.dumps(wire)) < max_size:  # room for the newline
            return wire
    return {name: cut(v, 16) if name in _IDS else v for name, v in wire.items()}


def cut(value: Any, limit: int) -> Any:
    """Return a repaired value without what goes beyond *limit* characters, items or keys."""
    if not isinstance(value, str | list | dict):
        return value
    if isinstance(value, str):
        limit = max(limit, TIME)
    mark = f"…[cut {len(value) - limit} of {len(value)}]" if len(value) > limit else ""
    if isinstance(value, str):
        return value[:limit] + mark
    if isinstance(value, list):
        items = [cut(item, limit) for item in value[:limit]]
        # A span's events stay objects that have a name.
        return [*items, {"name": mark} if isinstance(value[0], dict) else mark] if mark else items
    entries: dict[str, Any] = {}
    for key in islice(value, limit):
        entries[_unused(cut(key, limit), entries)] = cut(value[key], limit)
    return {**entries, "obswriter.cut": mark} if mark else entries
