"""uWSGI: alone and with a master, by each signal that ends it, idle and in the middle of work.

A worker that is told to end while it answers a request, ends in the signal's handler, and runs
none of Python's exit code: what it has recorded waits for adoption. Idle, it runs that code, and
so it does when the end is graceful, which lets it finish.
"""

from __future__ import annotations

import math
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from obswriter_testsupport.exit_rows.gunicorn import hang
from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.processes import find_program, free_port
from obswriter_testsupport.visiting import CONFIGURED, WSGI, End, Site, end_under_load, send
from obswriter_testsupport.wait import wait_until

ENDED = 30  # a lone worker's exit status; a master's is 0
MASTER = ("--master", "--processes", "2")
DIE = "--die-on-term"  # else it takes SIGTERM for a reload
USED_UP = ("--max-requests", "10", "--min-worker-lifetime", "0")
USED_UP_AFTER = 10 * 5  # events
GRACEFUL = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")


def serve(
    end: End, status: int, options: tuple[str, ...], at_once: bool, idle: bool, folder: Path
) -> Outcome:
    port = free_port()
    program = find_program("uwsgi")
    assert program is not None
    command = [program, "--http-socket", f"127.0.0.1:{port}", "--module", "app"]
    command += ["--need-app", "--virtualenv", sys.prefix, *options]
    return end_under_load(
        folder,
        WSGI + CONFIGURED,
        command,
        port,
        end,
        status=status,
        workers=_workers(options),
        at_once=at_once,
        idle=idle,
        HANG="heeding",
    )


def _workers(options: tuple[str, ...]) -> int:
    """How many have to be seen at work: where they are used up, one more than run at a time."""
    return 1 if "--master" not in options else 3 if "--max-requests" in options else 2


def when_idle(end: End, children: int, most: float = math.inf) -> End:
    """Return *end*, once every worker has got over its last request and sleeps.

    All are there by then, and none is about to go: what a master has yet to replace, it would
    replace in the middle of its end, and never end. *most*: events, after which a worker goes.
    """

    def is_idle(running: Site) -> bool:
        workers = children_of(running.process.pid)
        done = Counter(int(line.split()[0]) for line in running.acknowledged())
        stay = len(workers) == children and all(done[worker] < most for worker in workers)
        return stay and all(map(sleeps, {*workers, *done}))

    def wait_and_end(running: Site) -> None:
        wait_until(lambda: is_idle(running), 30, message=running.state)
        end(running)

    return wait_and_end


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sleeps(pid: int) -> bool:
    """Whether all threads of a process wait for something."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(") ")[2].startswith("S") for task in tasks)


terminate = send(signal.SIGTERM)


def _row(name: str, end: End, *options: str, status: int, at_once: bool, idle: bool) -> Row:
    run = partial(serve, end, status, options, at_once, idle)
    return Row("uWSGI", name, run, at_once, ("uwsgi",))


def _idle(how: str, *options: str, status: int = 0) -> Row:
    """The signal that *how* names, to workers that have nothing to do."""
    end = when_idle(send(getattr(signal, how)), 2 if "--master" in options else 0)
    shown = [option for option in options if option not in ("--processes", "2", DIE)]
    name = ", ".join([" ".join(shown) or "alone", f"idle, {how}"])
    return _row(name, end, *options, status=status, at_once=True, idle=True)


def _busy(how: str, *options: str, status: int = 0) -> Row:
    """The same in the middle of requests."""
    shown = [option for option in options if option not in ("--processes", "2", DIE)]
    name = ", ".join([" ".join(shown) or "alone", f"busy, {how}"])
    end = send(getattr(signal, how))
    return _row(name, end, *options, status=status, at_once=False, idle=False)


def _graceful(name: str, *options: str) -> Row:
    words = (*MASTER, *options, *GRACEFUL)
    return _row(name, terminate, *words, status=0, at_once=True, idle=False)


ROWS = [
    _idle("SIGTERM", DIE, status=ENDED),
    _idle("SIGINT", status=ENDED),
    _idle("SIGTERM", "--enable-threads", DIE, status=ENDED),
    _idle("SIGTERM", *MASTER, DIE),
    _idle("SIGTERM", *MASTER, "--lazy-apps", "--enable-threads", DIE),
    _idle("SIGINT", *MASTER, "--lazy-apps", "--enable-threads"),
    _idle("SIGQUIT", *MASTER, "--lazy-apps", "--enable-threads"),
    _busy("SIGTERM", DIE, status=ENDED),
    _busy("SIGINT", "--enable-threads", status=ENDED),
    _busy("SIGQUIT", status=-signal.SIGQUIT),  # which uWSGI alone does not handle
    _busy("SIGTERM", *MASTER, "--lazy-apps", "--enable-threads", DIE),
    _busy("SIGQUIT", *MASTER, "--lazy-apps", "--enable-threads"),
    _graceful("--master, graceful SIGTERM"),
    _graceful("--master --lazy-apps, graceful SIGTERM", "--lazy-apps", "--enable-threads"),
    _graceful(
        "--master --py-call-uwsgi-fork-hooks, graceful SIGTERM",
        "--enable-threads",
        "--py-call-uwsgi-fork-hooks",
    ),
    _graceful(
        "--master --lazy-apps --threads 3, graceful SIGTERM",
        "--lazy-apps",
        "--threads",
        "3",
    ),
    # The worker is killed in the middle of its request.
    _row(
        "--master, worker timeout (harakiri)",
        hang,
        *(*MASTER, "--lazy-apps", "--enable-threads", "--harakiri", "2", DIE),
        status=0,
        at_once=False,
        idle=False,
    ),
    # Idle at the end: a worker that is told to end while it ends already, ends in the handler.
    _row(
        "--max-requests, idle, graceful SIGTERM",
        when_idle(terminate, 2, USED_UP_AFTER),
        *(*MASTER, *USED_UP, "--lazy-apps", "--enable-threads", *GRACEFUL),
        status=0,
        at_once=True,
        idle=True,
    ),
]
