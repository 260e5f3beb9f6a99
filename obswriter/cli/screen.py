"""Where the commands print: plain text, with rich's colours on a terminal that has it."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from obswriter.timestamps import iso_from_datetime

from .formatting import one_line

if TYPE_CHECKING:
    from rich.console import Console

Part = tuple[str, str]
"""A piece of a line, and its style in rich's words."""

STYLES = {
    "ok": "green",
    "unset": "",
    "debug": "dim",
    "info": "green",
    "warn": "yellow",
    "error": "bold red",
    "fatal": "bold white on red",
}


_PLAIN = {"█": "#", "·": ".", "├": "|", "└": "`", "│": "|", "─": "-", "µ": "u", "…": "~"}
"""What is drawn where an encoding has no other characters."""


class Screen:
    """Standard output, line by line."""

    def __init__(self) -> None:
        self.is_terminal = bool(sys.stdout and sys.stdout.isatty())
        with suppress(AttributeError):  # some characters of ours are not in every encoding
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        self.console = _rich_console() if self.is_terminal else None
        self.columns = shutil.get_terminal_size().columns if self.is_terminal else None
        self._spelled = {} if _can_print(_PLAIN) else str.maketrans(_PLAIN)

    def line(self, *parts: Part | str, crop: bool = False) -> None:
        """Print one line; *crop* cuts it at the edge of a terminal."""
        pieces = [(part, "") if isinstance(part, str) else part for part in parts]
        if self._spelled:
            pieces = [(text.translate(self._spelled), style) for text, style in pieces]
        if self.console is not None:
            _print_rich(self.console, pieces, crop)
            return
        text = "".join(text for text, _ in pieces)
        if crop and self.columns and len(text) > self.columns:
            text = (text[: self.columns - 1] + "…").translate(self._spelled)
        print(text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print columns; those of numbers are flush right."""
        lines = [[one_line(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(headers, *lines, strict=True)]
        right = [_all_numbers(column) for column in zip(*lines, strict=True)] or [False] * len(
            widths
        )
        self.line((_columns(headers, widths, right), "bold"))
        for cells in lines:
            self.line(_columns(cells, widths, right))

    def flush(self) -> None:
        """Have everything seen."""
        if sys.stdout is not None:
            sys.stdout.flush()


def _can_print(characters: Iterable[str]) -> bool:
    try:
        "".join(characters).encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _rich_console() -> "Console | None":
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, emoji=False, markup=False)


def _print_rich(console: "Console", pieces: list[Part], crop: bool) -> None:
    from rich.text import Text

    text = Text.assemble(*pieces)
    if crop:
        console.print(text, no_wrap=True, overflow="ellipsis")
    else:
        console.print(text, soft_wrap=True)


def _all_numbers(column: Sequence[str]) -> bool:
    return all(cell[:1].isdigit() and "-" not in cell for cell in column)


def _columns(cells: Sequence[str], widths: list[int], right: list[bool]) -> str:
    padded = (
        cell.rjust(width) if flush_right else cell.ljust(width)
        for cell, width, flush_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def print_json(value: Any) -> None:
    """Print one line of JSON, in UTF-8 whatever the terminal's encoding is."""
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
    sys.stdout.buffer.write(orjson.dumps(value, iso_from_datetime, option))


def note(text: str) -> None:
    """Say something beside the output, on standard error."""
    if sys.stderr is not None:
        print(f"obswriter: {one_line(text)}", file=sys.stderr, flush=True)
