"""The ``obswriter`` command: looks at what was recorded, and tidies it up.

One module for each command. None needs an extra; where rich is installed, terminals get colours.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from obswriter.exceptions import ConfigurationError
from obswriter.redaction import redact_url

from . import ls, prune, recover, tail, trace
from .arguments import Parser, UsageError
from .demo import command as demo

COMMANDS = (ls, tail, trace, recover, prune, demo)

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    from obswriter import __version__

    parser = Parser(
        prog="obswriter",
        description="Look at what obswriter recorded, and tidy it up.",
        epilog="obswriter COMMAND --help tells more about each. Times are in UTC.",
    )
    parser.add_argument("--version", action="version", version=f"obswriter {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 2 for wrong input, 130 after Ctrl-C."""
    name = "obswriter"
    try:
        arguments = build_parser().parse_args(argv)
        name = f"obswriter {arguments.command}"
        status = int(arguments.run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except UsageError as error:
        return _fail(error.command or name, str(error), WRONG_INPUT)
    except ConfigurationError as error:
        return _fail(name, str(error), WRONG_INPUT)
    except Exception as error:
        return _fail(name, f"{type(error).__name__}: {error}", FAILED)


def _fail(name: str, message: str, status: int) -> int:
    from .formatting import one_line

    _discard_output()
    with suppress(OSError):
        print(f"{name}: {one_line(redact_url(message))}", file=sys.stderr)
    return status


def _discard_output() -> None:
    """Nobody can read what is left, and the interpreter must not complain of it when it ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
