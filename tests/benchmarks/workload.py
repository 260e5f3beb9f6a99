"""What one side of a comparison is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SPAN_NAME = "GET /orders/{id}"
ATTRIBUTES = {
    "http.request.method": "GET",
    "http.route": "/orders/{id}",
    "http.response.status_code": 200,
    "server.address": "shop.example.com",
    "app.cached": False,
}


@dataclass(frozen=True)
class Workload:
    """Something to do a number of times, and how to have it stored in the end.

    ``stored`` counts what lies in the files, ``per_piece`` how much of it each piece of work
    leaves there: a side that loses events is refused instead of praised for its speed.
    """

    work: Callable[[int], None]
    flush: Callable[[], object] = lambda: None
    stored: Callable[[], int] | None = None
    per_piece: int = 1


def count_in_files(folder: str, marker: bytes = b"\n") -> Callable[[], int]:
    """Count *marker* in the files below *folder*."""
    return lambda: sum(p.read_bytes().count(marker) for p in Path(folder).rglob("*.jsonl"))
