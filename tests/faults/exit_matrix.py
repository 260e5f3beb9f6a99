"""Prints the exit matrix: what each way to end a process keeps of what it acknowledged.

    python tests/faults/exit_matrix.py              every row
    python tests/faults/exit_matrix.py uvicorn      the rows whose name has this in it
    python tests/faults/exit_matrix.py --times 10   each row so often

Ends with status 1 if a row is not good. A row that needs what is not here is shown as skipped.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from obswriter_testsupport.exit_rows import every_row
from obswriter_testsupport.exits import Row, judge

HEADER = ("row", "acknowledged", "kept before adoption", "kept after", "duplicated", "verdict")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows with this in their name")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="runs of each row")
    options = parser.parse_args()
    rows = [row for row in every_row() if is_chosen(row, options.names)]
    if not rows:
        parser.error(f"no row's name has {' or '.join(options.names)} in it")
    show(*HEADER)
    show("---", *["---:"] * 4, "---")
    bad = [word for row in rows for word in try_out(row, options.times) if word != "good"]
    return 1 if bad else 0


def is_chosen(row: Row, names: list[str]) -> bool:
    return not names or any(name.lower() in row.id.lower() for name in names)


def try_out(row: Row, times: int) -> Iterator[str]:
    """Show a row's runs, and yield the verdict of each; a star says that it takes adoption."""
    name = row.id + ("" if row.at_once else " \\*")
    if lacking := row.lacks():
        show(name, "", "", "", "", f"skipped: no {', '.join(lacking)}")
        return
    for _ in range(times):
        numbers, word = run(row)
        show(name, *numbers, word)
        yield word.partition(":")[0]


def run(row: Row) -> tuple[list[str], str]:
    """Run a row once; return the table's numbers, and the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = judge(row, Path(folder))
        except Exception as error:
            report(row, error)
            return [""] * 4, f"failed: {type(error).__name__}"
    numbers = [found.acknowledged, found.kept_before, found.kept_after, found.duplicated]
    return list(map(str, numbers)), "good" if found.good else "bad"


def report(row: Row, error: Exception) -> None:
    """Say why a row could not be run, beside the table and not in it."""
    notes = "\n".join([str(error), *getattr(error, "__notes__", [])])
    print(f"{row.id}: {notes}", file=sys.stderr)


def show(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    sys.exit(main())
