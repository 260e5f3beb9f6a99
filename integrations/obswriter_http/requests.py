"""What is counted of requests, where the user asks for it.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

from collections import defaultdict
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import obswriter

_ACTIVE = ("http.request.method", "url.scheme")
_DURATION = (*_ACTIVE, "http.route", "http.response.status_code", "error.type",
             "network.protocol.version")  # fmt: skip


class RequestMetrics:
    """The active requests of this process; each is measured from ``begin`` to ``end``."""

    def __init__(self) -> None:
        # Lists, for their methods are atomic: a lock might be held while the process forks.
        self._active: defaultdict[tuple[Any, ...], list[None]] = defaultdict(list)

    def begin(self, attributes: Mapping[str, Any]) -> "MeasuredRequest":
        """Count a request with the attributes of its span."""
        labels = tuple(attributes.get(name) for name in _ACTIVE)
        self._active[labels].append(None)
        self._record(labels)
        return MeasuredRequest(self, labels)

    def leave(self, labels: tuple[Any, ...]) -> None:
        """Count a request no more."""
        self._active[labels].pop()
        self._record(labels)

    def _record(self, labels: tuple[Any, ...]) -> None:
        active = len(self._active[labels])
        named = dict(zip(_ACTIVE, labels, strict=True))
        obswriter.metric("http.server.active_requests", active, unit="{request}", attributes=named)


class MeasuredRequest:
    """One request that is counted as active until its end, which counts once."""

    __slots__ = ("_began", "_labels", "_metrics", "_over")

    def __init__(self, metrics: RequestMetrics, labels: tuple[Any, ...]) -> None:
        self._metrics = metrics
        self._labels = labels
        self._began = perf_counter()
        self._over = False

    def end(self, attributes: Mapping[str, Any]) -> None:
        """Record the duration, in seconds, with the attributes the span has at its end."""
        if self._over:
            return
        self._over = True
        seconds = perf_counter() - self._began
        self._metrics.leave(self._labels)
        named = {name: attributes[name] for name in _DURATION if name in attributes}
        obswriter.metric("http.server.request.duration", seconds, unit="s", attributes=named)
