"""What the commands' arguments have in common, and errors of one line."""

import argparse
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn, TypeAlias

from obswriter.vocabulary import EVENT_TYPES, EventType, check_project_id, check_word

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

EVERY_PROJECT = "*"


class UsageError(Exception):
    """The command line asks for something that cannot be; says what, and what to do instead."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized"):  # a path, most likely
            message += "; a store is passed as --storage URL"
        raise UsageError(f"{message}; see '{self.prog} --help'", self.prog)


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    help: str,
    epilog: str,
    *,
    by_project: bool = True,
) -> Parser:
    """Add a command with the arguments that all have: where to look, and ``--json``."""
    parser = commands.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=epilog
    )
    parser.set_defaults(run=run, project=None)
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="a path or a URL such as s3://bucket/prefix (default: $OBSWRITER_FILE_STORAGE, "
        "else the current directory)",
    )
    parser.add_argument(
        "--base-path",
        metavar="PATH",
        help="folder in the store (default: $OBSWRITER_BASE_PATH, else observability)",
    )
    if by_project:
        parser.add_argument(
            "--project",
            metavar="P",
            type=project,
            help="only this one; '*' for every one (default: $OBSWRITER_PROJECT_ID, else every)",
        )
    parser.add_argument("--json", action="store_true", help="JSON lines, for scripts")
    return parser


def add_types(parser: Parser) -> None:
    """Add ``--type``, which may be given several times."""
    parser.add_argument(
        "--type",
        action="append",
        dest="types",
        metavar="TYPE",
        type=event_type,
        help=f"only this type: {', '.join(EVENT_TYPES)}; may be repeated",
    )


def event_type(text: str) -> EventType:
    """Return *text* as an event type."""
    return word("type", text, EVENT_TYPES)  # type: ignore[return-value]


def word(field: str, text: str, known: tuple[str, ...]) -> str:
    """Return *text* if it is one of the *known* words."""
    try:
        check_word(field, text, known)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def project(text: str) -> str:
    """Return *text* as a project's id, or ``*``."""
    if text != EVERY_PROJECT:
        try:
            check_project_id(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return text


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Return the time that ``90s``, ``15m``, ``12h``, ``7d`` or ``2w`` says."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"must be a number with a unit of s, m, h, d or w, such as 7d or 12h; got {text!r}"
        )
    age = timedelta(**{_UNITS[match[2]]: float(match[1])})
    if age.days > 365_000:
        raise argparse.ArgumentTypeError(f"must be at most a thousand years; got {text!r}")
    return age


def at_least(minimum: float, kind: type[int] | type[float]) -> Callable[[str], float]:
    """Return a converter to numbers of *kind* that are no less than *minimum*."""

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(minimum - 1)
        if not minimum <= value < 1_000_000_000:  # NaN isn't either
            wanted = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(
                f"must be {wanted} of at least {minimum}; got {text!r}"
            )
        return value

    return number
