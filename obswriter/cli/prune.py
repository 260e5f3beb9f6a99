"""``obswriter prune``: deletes stored files that are old enough."""

import sys
from argparse import Namespace
from datetime import UTC, datetime

from .arguments import Commands, UsageError, add_command, add_types, duration
from .formatting import format_count, format_size
from .place import Place, find_place
from .reading import Reader, StoredFile
from .screen import Screen, note, print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "prune",
        run,
        help="delete stored files begun before a certain time, as their names tell",
        epilog=(
            "What processes are still writing, and the spool, is never touched.\n\n"
            "  obswriter prune --older-than 7d --processed-only\n"
            "  obswriter prune --older-than 4w --dry-run"
        ),
    )
    parser.add_argument(
        "--older-than", required=True, type=duration, metavar="AGE", help="90s, 15m, 12h, 7d, 2w"
    )
    parser.add_argument(
        "--processed-only", action="store_true", help="leave files that were not ingested"
    )
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, say what would be")
    parser.add_argument(
        "--yes", action="store_true", help="don't ask before deleting pending files"
    )
    add_types(parser)


def run(arguments: Namespace) -> int:
    """Delete the files, after asking where some are pending."""
    place = find_place(arguments)
    limit = datetime.now(UTC) - arguments.older_than
    files = [file for file in Reader(place, arguments.types).files() if file.begun_at < limit]
    if arguments.processed_only:
        files = [file for file in files if file.parsed.processed]
    if not (arguments.yes or arguments.dry_run) and not _confirmed(files):
        files = [file for file in files if file.parsed.processed]
    done = []
    for file in files:
        try:
            if not arguments.dry_run:
                place.storage.delete(file.info.path)
        except OSError as error:
            note(f"not deleted: {error}")
            continue
        done.append(file)
        if arguments.json:
            print_json(_entry(file, deleted=not arguments.dry_run))
    if not arguments.json:
        _show(Screen(), place, done, dry=arguments.dry_run)
    return 0 if len(done) == len(files) else 1


def _confirmed(files: list[StoredFile]) -> bool:
    pending = [file for file in files if not file.parsed.processed]
    if not pending:
        return True
    size = format_size(sum(file.info.size for file in pending))
    what = f"{format_count(len(pending), 'file')} ({size}) not ingested yet"
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{what}, nothing was deleted: pass --yes to delete, or --processed-only")
    print(f"{what}. Delete for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _entry(file: StoredFile, *, deleted: bool) -> dict[str, object]:
    return {
        "path": file.info.path,
        "bytes": file.info.size,
        "processed": file.parsed.processed,
        "deleted": deleted,
    }


def _show(screen: Screen, place: Place, files: list[StoredFile], *, dry: bool) -> None:
    size = format_size(sum(file.info.size for file in files))
    done = "would delete" if dry else "deleted"
    if dry:
        for file in files:
            screen.line(file.info.path)
    screen.line(f"{done} {format_count(len(files), 'file')} ({size}) in {place}")
