"""How many records of a logger become events: so many a second, or a share of them."""

import logging
import math
import random
import time
from collections.abc import Mapping
from typing import Any, Final

from obswriter import context

_random = random.Random()  # never the application's own sequence
_TRACE_IDS: Final = 16**14
"""W3C Trace Context has the last 14 digits of a trace id random, so that shares agree."""


class _Rate:
    """At most *per_second* records in each second."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._second, self._count = 0, 0

    def refuses(self, record: logging.LogRecord) -> str | None:
        # Two threads at the turn of a second may count one too few: nobody waits for a lock here.
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return "rate_limited" if self._count > self._per_second else None


class _Share:
    """A share of the records below WARNING: of a trace all or none."""

    def __init__(self, share: float) -> None:
        self._share = share

    def refuses(self, record: logging.LogRecord) -> str | None:
        if record.levelno >= logging.WARNING:
            return None
        span = context.current()
        drawn = _random.random() if span is None else int(span.trace_id[-14:], 16) / _TRACE_IDS
        return "sampled_out" if drawn < 1 - self._share else None


_Limit = _Rate | _Share


class Limits:
    """The limits of a handler: each is for a logger and those below it, ``""`` for all others."""

    def __init__(self, rates: Mapping[str, Any] | None, shares: Mapping[str, Any] | None) -> None:
        self._rates: dict[str, _Limit] = {
            name: _Rate(_checked("rate_limits", name, value, math.inf))
            for name, value in _mapping("rate_limits", rates).items()
        }
        self._shares: dict[str, _Limit] = {
            name: _Share(_checked("sample_rates", name, value, 1))
            for name, value in _mapping("sample_rates", shares).items()
        }

    def __bool__(self) -> bool:
        return bool(self._rates or self._shares)

    def refuse(self, record: logging.LogRecord) -> str | None:
        """Return why *record* is left out; ``None`` for one that is kept."""
        for limits in (self._shares, self._rates):
            limit = _nearest(limits, record.name)
            if limit is not None and (reason := limit.refuses(record)):
                return reason
        return None


def _nearest(limits: dict[str, _Limit], name: str) -> _Limit | None:
    while name not in limits and name:
        name = name.rpartition(".")[0]
    return limits.get(name)


def _mapping(option: str, value: Any) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(
            f"{option} must be a mapping of logger names to numbers such as {{'noisy': 0.5}}; "
            f"got {value!r}"
        )
    return value or {}


def _checked(option: str, name: object, value: Any, most: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    if not good or not isinstance(name, str):
        wanted = "a share from 0 to 1" if most == 1 else "records a second, 0 or more"
        raise ValueError(
            f"{option} must give, for the name of a logger, {wanted}; got {name!r}: {value!r}"
        )
    return float(value)
