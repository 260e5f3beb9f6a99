"""``obswriter recover``: stores what dead processes left in the spool."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from obswriter.adoption import STALE_SECONDS, Recovery, spool_directories
from obswriter.spool_directory import try_lock

from .arguments import Commands, UsageError, add_command
from .formatting import format_count, one_line
from .place import Place, check_readable, find_place
from .remedies import remedy_for
from .rights import adopt_as_owner, owner_of, rights_of
from .screen import Screen, note, print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "recover",
        run,
        help="store what dead processes left in the spool",
        epilog=(
            "Any writer started with the same storage does this by itself. What waits for other\n"
            "storages is listed with what it needs. Writers that had OBSWRITER_SPOOL_DIR set left\n"
            "theirs there: set it here, too. The exit status is 1 if something went wrong."
        ),
        by_project=False,
    )


def run(arguments: Namespace) -> int:
    """Adopt, and say what was found and what is left."""
    place = find_place(arguments, must_exist=False)
    recovery = Recovery()
    if not place.own_spools():
        try:
            check_readable(place)
        except UsageError as wrong:
            if not any(place.spools()):
                raise
            recovery.errors.append(str(wrong))
    for home in place.spool_homes(readable=False):
        recovery.errors.append(f"{home} is another user's: run this as root, or as its owner")
    for family in place.own_spools():
        add(recovery, adopt_as_owner(family, place.storage, place.base_path))
    left = [count_processes(family) for family in place.own_spools()]
    report = {
        "processes": recovery.directories,
        "files": recovery.files,
        "events": recovery.events,
        "holes": recovery.holes,
        "quarantined": recovery.quarantined,
        "errors": recovery.errors,
        "running": sum(processes.running for processes in left),
        "waiting": sum(processes.dead for processes in left),
        "elsewhere": list(find_others(place)),
    }
    if arguments.json:
        print_json(report)
    else:
        _show(Screen(), place, report)
    for error in recovery.errors:
        note(error)
    return 1 if recovery.errors else 0


def add(total: Recovery, part: Recovery) -> None:
    """Add one recovery's counts and errors to another's."""
    for field in fields(Recovery):
        setattr(total, field.name, getattr(total, field.name) + getattr(part, field.name))


@dataclass(frozen=True)
class Processes:
    """How many processes' spools one destination has."""

    running: int
    dead: int


def count_processes(family: str) -> Processes:
    """Tell the processes that hold their lock from those that don't any more."""
    dead = 0
    directories = spool_directories(family)
    for path in directories:
        with rights_of(owner_of(family)), try_lock(path) as free:
            dead += free
    return Processes(len(directories) - dead, dead)


def find_others(place: Place) -> Iterator[dict[str, Any]]:
    """Yield what waits for other destinations, and what each needs."""
    for family, facts, ours in place.spools():
        processes = count_processes(family)
        if ours or processes == Processes(0, 0):
            continue
        destination, base_path = str(facts.get("destination")), str(facts.get("base_path"))
        yield {
            "destination": destination,
            "basePath": base_path,
            "running": processes.running,
            "dead": processes.dead,
            "bytes": _size_of(family),
            "remedy": remedy_for(destination, base_path, place.spool_dir, facts.get("format")),
        }


def _size_of(family: str) -> int:
    """Return the bytes on the disk: open files are longer than what is written in them."""
    files = (path for path in Path(family).rglob("*.jsonl*") if path.is_file())
    return sum(path.stat().st_blocks * 512 for path in files)


def _show(screen: Screen, place: Place, report: dict[str, Any]) -> None:
    screen.line(
        f"{place}: recovered {format_count(report['events'], 'event')} in "
        f"{format_count(report['files'], 'file')} of "
        f"{format_count(report['processes'], 'dead process', 'dead processes')}"
    )
    if not report["processes"]:
        homes = ", ".join(map(str, place.spool_homes())) or "no spool: there is none"
        screen.line(one_line(f"looked in {homes}"))
    screen.line(
        f"{format_count(report['holes'], 'hole')}, "
        f"{format_count(report['quarantined'], 'file')} quarantined, "
        f"{format_count(len(report['errors']), 'error')}"
    )
    if running := report["running"]:
        screen.line(f"{format_count(running, 'process is', 'processes are')} running, left alone")
    if waiting := report["waiting"]:
        screen.line(
            f"{format_count(waiting, 'process', 'processes')} could not be recovered: see the "
            f"errors; of another boot or host, only {STALE_SECONDS // 60} minutes after its death"
        )
    for other in report["elsewhere"]:
        where = f"{other['destination']} (base path {other['basePath']!r})"
        screen.line(one_line(f"for {where}: {other['dead']} dead, {other['running']} running"))
        if other["dead"]:
            screen.line(f"    {one_line(other['remedy'])}")
