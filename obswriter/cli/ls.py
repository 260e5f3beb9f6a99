"""``obswriter ls``: which files there are."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from obswriter.adoption import spool_directories

from .arguments import Commands, add_command, add_types
from .formatting import format_count, format_second, format_size
from .place import Place, find_place
from .reading import Reader, StoredFile
from .screen import Screen, note, print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "ls",
        run,
        help="list the stored files, summed up by type and project",
        epilog="Pending files wait for ingestion; processed ones have been ingested.",
    )
    parser.add_argument("--files", action="store_true", help="each file, oldest first")
    add_types(parser)


def run(arguments: Namespace) -> int:
    """List the files or their sums."""
    place = find_place(arguments)
    files = Reader(place, arguments.types).files()
    if not files:
        of_project = f" of project {place.project!r}" if place.project else ""
        note(f"no files{of_project} in {place}; {_hint(place)}")
        return 0
    entries = [describe(file) for file in files] if arguments.files else summarize(files)
    if arguments.json:
        for entry in entries:
            print_json(entry)
    else:
        show_listing(Screen(), place, files, entries)
    return 0


def _hint(place: Place) -> str:
    waiting = sum(len(spool_directories(family)) for family in place.own_spools())
    if waiting:
        found = format_count(waiting, "process has", "processes have")
        return f"{found} events on the way: 'obswriter recover' stores those of dead ones"
    return "another --storage, --base-path or --project may have some"


def describe(file: StoredFile) -> dict[str, Any]:
    """Return one file's facts."""
    return {
        "path": file.info.path,
        "type": file.parsed.type,
        "projectId": file.parsed.project_id,
        "processed": file.parsed.processed,
        "bytes": file.info.size,
        "begunAt": file.begun_at,
    }


def summarize(files: Iterable[StoredFile]) -> list[dict[str, Any]]:
    """Return the sums of each type and project."""
    groups: dict[tuple[str, str], list[StoredFile]] = defaultdict(list)
    for file in files:
        groups[file.parsed.project_id, file.parsed.type].append(file)
    return [_sum_up(groups[key]) for key in sorted(groups)]


def _sum_up(files: list[StoredFile]) -> dict[str, Any]:
    processed = sum(file.parsed.processed for file in files)
    return {
        "projectId": files[0].parsed.project_id,
        "type": files[0].parsed.type,
        "files": len(files),
        "pending": len(files) - processed,
        "processed": processed,
        "bytes": sum(file.info.size for file in files),
        "oldest": min(file.begun_at for file in files),
        "newest": max(file.begun_at for file in files),
    }


def show_listing(
    screen: Screen, place: Place, files: list[StoredFile], entries: list[dict[str, Any]]
) -> None:
    """Print the entries as a table, and the total."""
    rows = [{name: _cell(name, value) for name, value in entry.items()} for entry in entries]
    headers = [_HEADERS.get(name, name).upper() for name in rows[0]]
    screen.table(headers, [list(row.values()) for row in rows])
    size = format_size(sum(file.info.size for file in files))
    screen.line((f"{format_count(len(files), 'file')}, {size} in {place}", "dim"))


_HEADERS = {"projectId": "project", "begunAt": "begun", "bytes": "size", "processed": "processed"}


def _cell(name: str, value: object) -> object:
    if name == "bytes":
        return format_size(value)  # type: ignore[arg-type]
    if name in ("oldest", "newest", "begunAt"):
        return format_second(value)  # type: ignore[arg-type]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value
