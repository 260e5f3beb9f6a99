"""``obswriter demo``: runs the application, and shows what it recorded."""

import importlib.util
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from obswriter.cli.arguments import EVERY_PROJECT, Commands, UsageError, add_command, at_least
from obswriter.cli.follow import Follower
from obswriter.cli.formatting import format_count
from obswriter.cli.place import Place, find_place
from obswriter.cli.screen import Screen, note, print_json

from .children import Child, ChildError, application
from .report import examine, show
from .visitors import Visited, visit_for

if TYPE_CHECKING:
    from collections.abc import Callable

TASK_SECONDS = 30.0
PROJECT = "demo"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "demo",
        run,
        help="run a small web application with a worker, and show what they recorded",
        epilog=(
            "Needs pip install 'obswriter[demo]'. Files stay where --storage says, for project\n"
            f"{PROJECT!r} unless --project names another. The exit status is 1 if anything that\n"
            "was done is missing in the files."
        ),
    )
    parser.add_argument(
        "--seconds", type=at_least(0, float), default=4.0, help="how long to visit (default: 4)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the application running after that, for requests of your own, until Ctrl-C",
    )


def run(arguments: Namespace) -> int:
    """Run the application for a while, stop it, and show what is in the files."""
    check_requirements()
    if arguments.project == EVERY_PROJECT:
        raise UsageError("the demo records into one project: pass its name to --project")
    place = find_place(arguments, must_exist=False)
    place = replace(place, project=place.project or PROJECT)
    screen = Screen()
    say = (lambda text: None) if arguments.json else screen.line
    began = datetime.now(UTC)
    try:
        visited = _run_application(place, arguments, screen, say)
    except ChildError as error:
        for line in str(error).splitlines():
            note(line)
        return 1
    outcome = examine(place, visited, began)
    if arguments.json:
        print_json(outcome.as_json())
    else:
        show(screen, outcome)
    return 0 if outcome.is_complete else 1


def check_requirements() -> None:
    """Raise ``UsageError`` unless everything the demo starts is there."""
    if os.name != "posix":
        raise UsageError("the demo needs Linux or macOS: Celery's worker does not run here")
    needed = ("starlette", "uvicorn", "celery")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the demo needs {', '.join(missing)}: pip install 'obswriter[demo]'")


def _run_application(
    place: Place, arguments: Namespace, screen: Screen, say: "Callable[[str], None]"
) -> Visited:
    follower = Follower(place, ["span"], lambda event: event.get("spanKind") == "consumer")
    follower.last_events(0)
    with (
        tempfile.TemporaryDirectory(prefix="obswriter-demo-") as folder,
        application(place, Path(folder)) as (web, worker, port),
    ):
        say(f"A web application (uvicorn, process {web.pid}, port {port})")
        say(f"and a worker (Celery, process {worker.pid}) record into {place}.")
        with _progress(screen, quiet=arguments.json) as watch:
            visited = visit_for(arguments.seconds, web, port, watch)
        say(
            f"{visited.count()} requests are answered: {visited.count(failed=True)} failed, as "
            f"they should, and {visited.count(published=True)} published a task."
        )
        if arguments.keep:
            _keep(web, worker, port)
        wait_for_tasks(follower, visited, worker)
        say("Both are asked to stop with SIGTERM.")
        web.stop()
        worker.stop()
    return visited


def wait_for_tasks(follower: Follower, visited: Visited, worker: Child) -> None:
    """Wait until every task published has been run, as the worker's own record says."""
    missing = {trace for trace, visit in visited.traces.items() if visit.publishes}
    deadline = time.monotonic() + TASK_SECONDS
    while missing:
        worker.check()
        missing -= {str(span.get("traceId")) for span in follower.new_events()}
        if missing and time.monotonic() > deadline:
            raise worker.error(f"has not run {len(missing)} tasks within {TASK_SECONDS:.0f} s")
        time.sleep(follower.pause if missing else 0)


def _keep(web: Child, worker: Child, port: int) -> None:
    note(f"http://127.0.0.1:{port}/products answers until Ctrl-C")
    try:
        while True:
            web.check()
            worker.check()
            time.sleep(0.25)
    except KeyboardInterrupt:
        return


@contextmanager
def _progress(screen: Screen, *, quiet: bool) -> Iterator["Callable[[Visited, float], None]"]:
    """Show how far the visits are: a bar on a terminal that has rich, else nothing."""
    if quiet or screen.console is None:
        yield lambda visited, part: None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, console=screen.console, transient=True) as progress:
        bar = progress.add_task("visiting", total=1.0)
        yield lambda visited, part: progress.update(
            bar, completed=part, description=format_count(visited.count(), "request")
        )
