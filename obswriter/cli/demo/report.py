"""What the demo's application recorded, compared with what was done."""

import shlex
import shutil
import sys
from argparse import Namespace
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from obswriter.cli.describe import trace_id_of
from obswriter.cli.formatting import format_count
from obswriter.cli.ls import show_listing, summarize
from obswriter.cli.place import Place, find_place
from obswriter.cli.reading import Event, Reader, StoredFile
from obswriter.cli.screen import Screen
from obswriter.cli.tree import show_trace
from obswriter.storage import destination_of

from .visitors import Visited


@dataclass(frozen=True)
class Outcome:
    """The events of each request's trace, and whether all are there."""

    place: Place
    visited: Visited
    files: list[StoredFile]
    events: dict[str, list[Event]]
    damaged: int

    @property
    def traces(self) -> int:
        """How many requests have a trace and a server span on the disk."""
        return sum(
            _has(events, type="trace") and _has(events, type="span", spanKind="server")
            for events in self.events.values()
        )

    @property
    def tasks(self) -> int:
        """How many published tasks have their run in the same trace."""
        return sum(
            _has(self.events[trace], type="span", spanKind="consumer")
            for trace, visit in self.visited.traces.items()
            if visit.publishes
        )

    @property
    def errors(self) -> int:
        """How many failed requests say so, with the exception."""
        return sum(
            _has(self.events[trace], type="trace", status="error")
            for trace, visit in self.visited.traces.items()
            if visit.status == 500
        )

    @property
    def is_complete(self) -> bool:
        """Whether everything that was done is in the files."""
        found = (self.traces, self.tasks, self.errors, self.damaged)
        return found == (
            self.visited.count(),
            self.visited.count(published=True),
            self.visited.count(failed=True),
            0,
        )

    def as_json(self) -> dict[str, Any]:
        """Return all that is compared."""
        return {
            "storage": destination_of(self.place.storage),
            "basePath": self.place.base_path,
            "projectId": self.place.project,
            "requests": self.visited.count(),
            "traces": self.traces,
            "tasksPublished": self.visited.count(published=True),
            "tasksRun": self.tasks,
            "requestsFailed": self.visited.count(failed=True),
            "errors": self.errors,
            "files": len(self.files),
            "complete": self.is_complete,
        }


def _has(events: list[Event], **fields: str) -> bool:
    return any(all(event.get(name) == fields[name] for name in fields) for event in events)


def examine(place: Place, visited: Visited, began: datetime) -> Outcome:
    """Read back what was recorded since the demo *began*."""
    reader = Reader(place)
    files = [file for file in reader.files() if file.begun_at >= began]
    events: dict[str, list[Event]] = {trace: [] for trace in visited.traces}
    for event in reader.events(files):
        trace_id = trace_id_of(event)
        if trace_id in events:
            events[trace_id].append(event)
    return Outcome(place, visited, files, events, reader.damaged)


def show(screen: Screen, outcome: Outcome) -> None:
    """Print some traces, the files, whether all is there, and what to try next."""
    for path, title in _SHOWN.items():
        screen.line()
        screen.line((title, "bold underline"))
        show_trace(screen, outcome.events[outcome.visited.find(path)])
    screen.line()
    if outcome.files:
        show_listing(screen, outcome.place, outcome.files, summarize(outcome.files))
    screen.line()
    _show_verdict(screen, outcome)
    screen.line()
    for line in what_next(outcome):
        screen.line(line)


_SHOWN = {
    "/orders/{number}": "A request that publishes a task, and the task in the worker:",
    "/orders/13": "A request that fails:",
    "/report": "A response that is streamed:",
}


def _show_verdict(screen: Screen, outcome: Outcome) -> None:
    done = outcome.visited
    counts = (
        f"{outcome.traces} of {format_count(done.count(), 'request')} traced, "
        f"{outcome.tasks} of {format_count(done.count(published=True), 'task')} in their trace, "
        f"{outcome.errors} of {format_count(done.count(failed=True), 'failure')} with the error"
    )
    if outcome.is_complete:
        screen.line(("complete: ", "bold green"), counts)
    else:
        screen.line(("INCOMPLETE: ", "bold red"), counts)


def what_next(outcome: Outcome) -> list[str]:
    """Return commands to go on with."""
    place = outcome.place
    options = shlex.join(_options(place))
    trace = outcome.visited.find("/orders/{number}")[:8]
    lines = [
        "Go on with:",
        f"  {program()} tail -f {options}",
        f"  {program()} trace {trace} {options}",
    ]
    if place.is_local:
        lines += ["or, in DuckDB:", f"  {duckdb_query(place)}"]
    return lines


def _options(place: Place) -> list[str]:
    """Return the options that lead to the place from here."""
    options = ["--project", str(place.project)]
    nothing = Namespace(storage=None, base_path=None, project=None)
    usual = find_place(nothing, must_exist=False)
    if place.url != usual.url:
        options += ["--storage", place.url]
    if place.base_path != usual.base_path:
        options += ["--base-path", place.base_path]
    return options


def duckdb_query(place: Place) -> str:
    """Return SQL that reads the spans where they are."""
    files = f"{place.url}/{place.base_path}/span/{place.project}/*.jsonl".replace("'", "''")
    select = "SELECT name, count(*) AS spans, count(*) FILTER (status = 'error') AS errors"
    return f"{select} FROM read_json('{files}', union_by_name = true) GROUP BY name ORDER BY name;"


def program() -> str:
    """Return how this program is called from here."""
    if shutil.which("obswriter"):
        return "obswriter"
    if sys.argv[0].endswith("/obswriter"):
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.executable)} -m obswriter"
