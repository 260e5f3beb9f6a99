"""The exit matrix: each way a process may end, what it acknowledged, and what of that is kept."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from obswriter_testsupport.faults import Outcome, stored_events
from obswriter_testsupport.probes import SERVERS
from obswriter_testsupport.processes import find_program

Run = Callable[[Path], Outcome]
"""Starts the real thing, recording into the given directory, and ends it in the middle of work."""


@dataclass(frozen=True)
class Row:
    """One way to end. ``at_once``: complete without any adoption.

    ``needs`` names what must be there: modules (``gunicorn``), programs (``uwsgi``) and servers
    (``redis``, ``amqp``); ``a|b`` is one of them.
    """

    group: str
    name: str
    run: Run
    at_once: bool = True
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.group}: {self.name}"

    def lacks(self) -> list[str]:
        """Return which of its needs are not there."""
        return [need for need in self.needs if not any(map(_is_there, need.split("|")))]


@dataclass(frozen=True)
class Verdict:
    """What one run of a row came to: counts of acknowledged events."""

    row: Row
    acknowledged: int
    kept_before: int
    kept_after: int
    duplicated: int

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice; before adoption already where the row says so."""
        whole = self.acknowledged > 0 and self.kept_after == self.acknowledged
        early = not self.row.at_once or self.kept_before == self.acknowledged
        return whole and early and self.duplicated == 0

    def __str__(self) -> str:
        wanted = "at once" if self.row.at_once else "after adoption"
        return (
            f"{self.row.id}: of {self.acknowledged} acknowledged events {self.kept_before} were "
            f"kept before adoption and {self.kept_after} after it, {self.duplicated} twice; "
            f"all should be kept {wanted}, and none twice"
        )


def judge(row: Row, folder: Path) -> Verdict:
    """Run a row and compare what was acknowledged with what is on disk, before and after."""
    outcome = row.run(folder)
    acknowledged = set(outcome.acknowledged)
    before = len(acknowledged & set(outcome.stored()))
    outcome.recover()
    after = len(acknowledged & set(outcome.stored()))
    repeated = max(len(outcome.duplicated()), count_repeated(outcome.root))
    return Verdict(row, len(acknowledged), before, after, repeated)


def count_repeated(root: Path) -> int:
    """Count the events of any type that are stored more than once."""
    events = stored_events(root)
    counts = Counter((event["type"], event["id"], event["recordedAt"]) for event in events)
    return sum(count > 1 for count in counts.values())


def _is_there(need: str) -> bool:
    if need in SERVERS:
        return SERVERS[need].problem() is None
    try:
        found = importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:  # the package it would be in
        found = False
    return found or find_program(need) is not None
