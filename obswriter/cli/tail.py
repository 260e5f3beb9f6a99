"""``obswriter tail``: the last events, and those to come."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterable

from obswriter.vocabulary import LEVELS, EventType

from .arguments import Commands, add_command, add_types, at_least, word
from .describe import describe_event
from .follow import Follower
from .place import find_place
from .reading import Event
from .screen import Screen, note, print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "tail",
        run,
        help="show the last events, oldest first, and follow what is recorded",
        epilog=(
            "What processes on this machine recorded a moment ago and have not stored yet is\n"
            "shown too.\n\n"
            "  obswriter tail -f\n"
            "  obswriter tail -n 100 --level warn\n"
            "  obswriter tail --type span"
        ),
    )
    parser.add_argument(
        "-n", dest="count", type=at_least(0, int), default=20, help="how many (default: 20)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "--level",
        type=_level,
        metavar="LEVEL",
        help=f"only logs of at least this level: {', '.join(LEVELS)}",
    )
    add_types(parser)


def _level(text: str) -> str:
    name = text.lower()
    return word("level", {"warning": "warn", "critical": "fatal"}.get(name, name), LEVELS)


def run(arguments: Namespace) -> int:
    """Print the last events; go on with ``-f``."""
    types: list[EventType] | None = arguments.types
    if arguments.level and not types:
        types = ["log"]
    place = find_place(arguments, must_exist=not arguments.follow)
    follower = Follower(place, types, _filter(arguments.level))
    show = _printer(json=arguments.json)
    last = follower.last_events(int(arguments.count))
    show(last)
    complete = follower.reader.note_damaged()
    if arguments.follow and not last:
        note(f"waiting for events in {place}")
    elif not last and arguments.count:
        note(f"no such events in {place}: 'obswriter ls' shows what there is")
    while arguments.follow:
        time.sleep(follower.pause)
        show(follower.new_events())
    return 0 if complete else 1


def _filter(level: str | None) -> Callable[[Event], bool]:
    if level is None:
        return lambda event: True
    wanted = LEVELS[LEVELS.index(level) :]
    return lambda event: event.get("type") != "log" or event.get("level") in wanted


def _printer(*, json: bool) -> Callable[[Iterable[Event]], None]:
    screen = Screen()

    def show(events: Iterable[Event]) -> None:
        for event in events:
            if json:
                print_json(event)
            else:
                screen.line(*describe_event(event))
        screen.flush()

    return show
