"""Values that applications put into telemetry without a thought, as hypothesis strategies."""

from __future__ import annotations

import enum
import itertools
from collections import OrderedDict, UserDict, deque, namedtuple
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Colour(enum.Enum):
    RED = "red"
    DEEP = ("deep", {"red": 1})


class Code(enum.IntEnum):
    OK = 200


class Word(enum.StrEnum):
    YES = "yes"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Order:
    number: Any
    lines: Any = None


@dataclass(slots=True, frozen=True)
class Line:
    text: Any


class Point(NamedTuple):
    x: Any
    y: Any


Pair = namedtuple("Pair", "left right")  # both kinds are in use


class LoudStr(str):
    """A string that prints itself as something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "../../loud"

    def __format__(self, spec: str) -> str:
        return "../../loud"


class LoudInt(int):
    def __repr__(self) -> str:
        return "NaN"

    __str__ = __repr__


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Endless:
    """Refers to itself when it is printed."""

    def __repr__(self) -> str:
        return f"<{self!r}>"


class Liar:
    """Says that it is a dictionary."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return dict


class Faceless:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ValueError("who asks?")


class Undecided:
    """Neither true nor false, nor equal to anything, as arrays are."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = object.__hash__


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise OSError("the connection is gone")

    def __len__(self) -> int:
        return 3


class BrokenDict(dict[Any, Any]):
    def items(self) -> Any:
        raise OSError("the connection is gone")

    keys = values = items


class EndlessMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return key

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 1


class OddRepr:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return LoudStr(self.text)


class Growing:
    """Changes the container it is in while that is being printed."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def __repr__(self) -> str:
        if isinstance(self.container, dict):
            self.container[object()] = 1
        else:
            self.container.append(1)
        return "growing"


def growing_list() -> list[Any]:
    values: list[Any] = [1]
    values += [Growing(values), 2]
    return values


def growing_dict() -> dict[Any, Any]:
    values: dict[Any, Any] = {1: 1}
    values |= {2: Growing(values), 3: 3}
    return values


def circular() -> list[Any]:
    values: list[Any] = [1]
    values.append({"self": values, "order": Order(values)})
    return values


def acquainted(people: int) -> list[dict[str, Any]]:
    """Everyone knows everyone: more paths lead through them than anyone can walk."""
    everyone: list[dict[str, Any]] = [{"name": object()} for _ in range(people)]
    for person in everyone:
        person["knows"] = list(everyone)
    return everyone


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def special() -> list[Any]:
    """Return one of each, made anew: some change when they are looked at."""
    found: list[Any] = [
        *(Colour.RED, Colour.DEEP, Code.OK, Word.YES, Access.READ | Access.WRITE, Access(0)),
        *(Unprintable(), Endless(), Liar(), Faceless(), Undecided(), OddRepr("x\ud800")),
        *(BrokenMapping(), BrokenDict(a=1), growing_list(), growing_dict(), circular()),
        *(LoudStr("a"), LoudStr("\ud83d"), LoudInt(5), LoudInt(10**30), nested(300), nested(120)),
        *(int, Order, Colour, len, object(), NotImplemented, ..., range(3), Unprintable),
        *((i for i in range(3)), iter([1]), map(str, [1]), {}.items(), {"a": 1}.keys()),
        *(10**5000, -(10**30), 2**63, 2**64, -(2**63) - 1, 1j, "\u2028\x85\r\n\0", "\ud800"),
        *(UserDict(a=1), OrderedDict(a=1), MappingProxyType({"a": b"\xff"}), deque([1, 2])),
        *(bytearray(b"\0"), memoryview(b"ab"), acquainted(5), SimpleNamespace(a=1)),
        *(PurePosixPath("a/b"), Exception("x"), {1: "a", "1": "b", "1#2": "c", None: "d"}),
    ]  # fmt: skip
    try:
        import numpy
    except ImportError:
        return found
    return [
        *found,
        *(numpy.int64(1), numpy.float32("nan"), numpy.bool_(True), numpy.str_("a")),
        *(numpy.array([[1, 2], [3, 4]]), numpy.array([1.5, float("inf")]), numpy.array(5)),
        *(numpy.datetime64("2026-01-23"), numpy.array([object()]), numpy.array([b"x"])),
    ]


def one_of_these(make: Callable[[], list[Any]]) -> st.SearchStrategy[Any]:
    """Like ``sampled_from``, which prints what it samples from."""
    return st.integers(0, len(make()) - 1).map(lambda number: make()[number])


surrogates = st.text(st.characters(codec=None))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    surrogates,
    st.binary(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    one_of_these(special),
)
keys = st.one_of(
    surrogates,
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.binary(),
    st.uuids(),
    st.tuples(st.integers(), surrogates),
    one_of_these(lambda: [Colour.RED, Code.OK, Word.YES, Unprintable(), LoudStr("k")]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(surrogates, inner, max_size=4),
        st.tuples(inner, inner),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Order, inner, inner),
        st.builds(Line, inner),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(surrogates, inner, max_size=3).map(MappingProxyType),
        st.frozensets(st.one_of(st.integers(), surrogates, st.binary()), max_size=4),
        st.sets(st.one_of(st.floats(), st.dates(), st.none()), max_size=4),
    ),
    max_leaves=12,
)
