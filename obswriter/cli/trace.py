"""``obswriter trace``: one trace as a tree."""

from argparse import Namespace

import orjson

from obswriter.propagation import parse_traceparent

from .arguments import Commands, UsageError, add_command
from .describe import trace_id_of
from .formatting import one_line
from .place import find_place
from .reading import Event, Reader, SpoolReader, identity, recorded_at
from .screen import Screen, print_json
from .tree import show_trace

MOST_CANDIDATES = 20


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "trace",
        run,
        help="show one trace: its spans as a tree, with logs, exceptions, metrics and scores",
        epilog="Find ids with 'obswriter tail --type trace'. With --json: its events as they are.",
    )
    parser.add_argument(
        "id", metavar="ID", help="the trace's id, the beginning of it, or a traceparent header"
    )


def run(arguments: Namespace) -> int:
    """Show the trace."""
    place = find_place(arguments)
    reader = Reader(place)
    caller = parse_traceparent(arguments.id.strip().lower())
    events = find_trace(reader, arguments.id if caller is None else caller.trace_id)
    if arguments.json:
        for event in events:
            print_json(event)
    else:
        show_trace(Screen(), events)
    return 0 if reader.note_damaged() else 1


def find_trace(reader: Reader, prefix: str) -> list[Event]:
    """Return the events of the only trace whose id begins with *prefix*, or is *prefix*."""
    if not prefix:
        raise UsageError("ID must not be empty: 'obswriter tail --type trace' shows some")
    # Other systems write ids in capitals.
    traces = collect(reader, prefix) or collect(reader, prefix.lower())
    if not traces:
        raise UsageError(
            f"no trace in {reader.place} begins with {prefix!r}: "
            f"'obswriter tail --type trace' shows some"
        )
    exact = traces.get(prefix) or traces.get(prefix.lower())
    if exact is None and len(traces) > 1:
        raise UsageError(_ambiguous(prefix, list(traces)))
    events = exact or next(iter(traces.values()))
    return sorted(events.values(), key=recorded_at)


def collect(reader: Reader, prefix: str) -> dict[str, dict[tuple[str, str, str], Event]]:
    """Return the events of the traces that *prefix* may mean, stored or on their way."""
    found: dict[str, dict[tuple[str, str, str], Event]] = {}
    quoted = orjson.dumps(prefix)[:-1]  # as an id beginning so stands in a line
    spooled = list(SpoolReader(reader.place, reader.types).new_events())
    for events in (spooled, reader.events(reader.files(), containing=quoted)):
        for event in events:
            trace_id = trace_id_of(event) or ""
            enough = len(found) >= MOST_CANDIDATES and trace_id != prefix
            if trace_id.startswith(prefix) and (trace_id in found or not enough):
                found.setdefault(trace_id, {})[identity(event)] = event
    return found


def _ambiguous(prefix: str, candidates: list[str]) -> str:
    many = f"{MOST_CANDIDATES} or more" if len(candidates) >= MOST_CANDIDATES else len(candidates)
    listed = ", ".join(one_line(candidate) for candidate in sorted(candidates))
    return f"{many} traces begin with {prefix!r}: {listed}; give more of the id"
