"""Who visits the demo's shop: requests of all kinds, each with a trace id known beforehand."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from obswriter.ids import new_span_id, new_trace_id

from .children import Child

PAUSE = 0.05
TIMEOUT = 30.0


@dataclass(frozen=True)
class Visit:
    """One kind of request, and the answer it gets."""

    method: str
    path: str
    status: int
    publishes: bool = False


VISITS = (
    Visit("GET", "/products", 200),
    Visit("GET", "/products/1", 200),
    Visit("POST", "/orders/{number}", 202, publishes=True),
    Visit("GET", "/report", 200),
    Visit("POST", "/orders/13/refund", 500),
    Visit("GET", "/products/cake", 404),
)


@dataclass
class Visited:
    """The requests made: the trace id of each, with what was asked."""

    traces: dict[str, Visit] = field(default_factory=dict)

    def count(self, *, failed: bool = False, published: bool = False) -> int:
        """Return how many there were, of one sort if asked for."""
        return sum(
            (not failed or visit.status == 500) and (not published or visit.publishes)
            for visit in self.traces.values()
        )

    def find(self, path: str) -> str:
        """Return the trace of the last visit whose path began so."""
        return [t for t, visit in self.traces.items() if visit.path.startswith(path)][-1]


def visit_for(
    seconds: float, web: Child, port: int, watch: Callable[[Visited, float], None]
) -> Visited:
    """Make requests for some seconds from the first answer on, but each kind at least once."""
    visited = Visited()
    began = 0.0
    while len(visited.traces) < len(VISITS) or time.monotonic() - began < seconds:
        number = len(visited.traces)
        trace_id = new_trace_id()
        visit = VISITS[number % len(VISITS)]
        _ask(web, port, visit, visit.path.format(number=number), trace_id)
        visited.traces[trace_id] = visit
        began = began or time.monotonic()
        watch(visited, min(1.0, (time.monotonic() - began) / max(seconds, 0.001)))
        time.sleep(PAUSE)
    return visited


def _ask(web: Child, port: int, visit: Visit, path: str, trace_id: str) -> None:
    headers = {"traceparent": f"00-{trace_id}-{new_span_id()}-01"}
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(visit.method, path, headers=headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        raise web.error(f"did not answer {visit.method} {path}: {error}") from None
    finally:
        connection.close()
    if response.status != visit.status:
        wrong = f"answered {visit.method} {path} with {response.status}, not {visit.status}"
        raise web.error(wrong)
