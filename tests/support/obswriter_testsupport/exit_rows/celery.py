"""Celery's worker: each pool and each way to end it, or a child of it, in the middle of tasks.

A task records for a while and acknowledges as the servers' applications do. There are more tasks
than are run: the worker ends with some running and some waiting in the queue. Only where each
child gets one task are all done before: billiard can't always end while it replaces a child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from obswriter_testsupport.celery_brokers import open_shop
from obswriter_testsupport.celery_workers import Shop, end_of, is_idle, working
from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.visiting import WORK, Acknowledging
from obswriter_testsupport.wait import wait_until

TASKS = (
    WORK
    + """
import json
from pathlib import Path

from celery import Celery, signals
from celery.exceptions import SoftTimeLimitExceeded

import obswriter.spool
import obswriter_celery

obswriter.spool.ADOPTION_SECONDS = 0.2
obswriter.configure()
app = Celery("shop")
app.conf.update(json.loads(os.environ["SHOP_CONF"]))
obswriter_celery.install(app)

@signals.worker_ready.connect
def say_ready(**_):
    Path(os.environ["SHOP_FOLDER"], "ready").touch()

@app.task(name="shop.work")
def work(events):
    for _ in range(events):
        with obswriter.span("step"):
            record()
        time.sleep(0.002)

@app.task(name="shop.overrun", time_limit=1)
def overrun():
    work(10**6)

@app.task(name="shop.hurried", soft_time_limit=1)
def hurried():
    end = time.monotonic() + 5
    try:
        while time.monotonic() < end:  # mostly in the midst of recording, when the limit is met
            for _ in range(10):
                record()
            time.sleep(0.001)
    except SoftTimeLimitExceeded:
        work(20)
    Path(os.environ["SHOP_FOLDER"], "done-hurried").touch()
"""
)

SHORT, MEDIUM, LONG = 20, 40, 5000  # events of a task; a long one never comes to its end
COLD = (0, 1)  # exit statuses of a cold shutdown: Celery's pools and versions differ
PREFORK = ("-P", "prefork", "-c", "2")
ONE_CHILD = ("-P", "prefork", "-c", "1")


@dataclass
class Running(Acknowledging):
    """A worker in the middle of its tasks."""

    process: subprocess.Popen[bytes]
    shop: Shop
    log: Path

    def state(self) -> str:
        return self.shop.output()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, 30, message=self.state)


End = Callable[[Running], None]
Tasks = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and arguments."""


def _work(count: int, events: int) -> Tasks:
    return (("shop.work", (events,)),) * count


MANY, ENDLESS = _work(100, SHORT), _work(10, LONG)


@dataclass(frozen=True)
class Play:
    """One way to have a worker end: what it works on, how it is started, what is done to it."""

    end: End
    flags: tuple[str, ...] = PREFORK
    statuses: tuple[int, ...] = (0,)
    tasks: Tasks = MANY
    at_once: bool = True
    broker: str = ""
    flush_interval_ms: int = 60_000
    conf: Mapping[str, Any] = field(default_factory=dict)

    def run(self, folder: Path) -> Outcome:
        with open_shop(folder / "shop", folder / "store", self.broker) as shop:
            (shop.folder / "shop.py").write_text(TASKS)
            shop.conf.update(self.conf)
            with shop.publisher() as app, app.connection_for_write() as connection:
                for name, arguments in self.tasks:
                    app.send_task(name, arguments, connection=connection)
            with working(shop, *self.flags, **self.environ(folder)) as worker:
                running = Running(worker, shop, folder / "acknowledged")
                running.wait_for_more()
                self.end(running)
                status = end_of(worker)
            running.wait_until(lambda: not any(map(lives, running.pids())))
            assert status in self.statuses, f"it ended with {status}: {shop.output()}"
            return Outcome(folder / "store", status, running.acknowledged(), shop.output())

    def environ(self, folder: Path) -> dict[str, str]:
        """Return what the worker gets beside the shop's; the development mode is not for Celery."""
        (folder / "acknowledged").touch()
        return {
            "ACKNOWLEDGED": str(folder / "acknowledged"),
            "OBSWRITER_FLUSH_INTERVAL_MS": str(self.flush_interval_ms),
            "PYTHONDEVMODE": "",
            "WITHOUT_ADOPTION": "1" if self.at_once else "",
        }


def lives(pid: int) -> bool:
    """Whether a process runs, or one of its threads, which holds its locks when the main one ends.

    Waiting to be reaped is not running.
    """
    try:
        os.kill(pid, 0)
        if sys.platform != "linux":
            return True
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (ProcessLookupError, FileNotFoundError):
        return False


def send(name: str) -> End:
    """Return an end by a signal, which not every system needs to know."""
    return lambda running: running.process.send_signal(getattr(signal, name))


terminate = send("SIGTERM")


def interrupt_twice(running: Running) -> None:
    """Begin a warm shutdown, and do not wait for its end."""
    running.process.send_signal(signal.SIGINT)
    running.wait_until(lambda: "will initiate cold shutdown" in running.shop.output())
    running.process.send_signal(signal.SIGINT)


def quit_softly(running: Running) -> None:
    """Have the tasks go on for a while, as the worker was told to, before it is a cold shutdown."""
    running.process.send_signal(signal.SIGQUIT)
    running.wait_until(lambda: "Initiating Soft Shutdown" in running.shop.output())
    running.wait_for_more(10)


def terminate_scaled_up(running: Running) -> None:
    """Have the pool grow to as many children as it may have, and end the worker."""
    running.wait_until(lambda: len(running.pids()) == 3)
    terminate(running)


def replace_children(running: Running) -> None:
    """Have both tasks done, each in a child of its own, and end the worker with a third, idle."""
    running.wait_until(lambda: len(running.pids()) == 2)
    running.wait_until(lambda: len(running.acknowledged()) == 2 * MEDIUM)
    if sys.platform == "linux":
        running.wait_until(lambda: is_idle(running.process, 1))
    terminate(running)


def outlive_a_child(running: Running) -> None:
    """Wait until a child is gone and another works in its place; then end the worker."""
    children = running.pids()
    running.wait_until(lambda: not any(map(lives, children)))
    running.wait_until(lambda: running.pids() > children)
    terminate(running)


def kill_child(running: Running) -> None:
    """Kill a child; while the worker lives, it adopts what that one had recorded.

    The worker is killed, too: it would wait ten seconds for the lost child's task.
    """
    victim = min(running.pids())
    os.kill(victim, signal.SIGKILL)
    running.wait_until(lambda: not lives(victim))
    outcome = Outcome(running.log.with_name("store"), 0, [], "")
    theirs = {text for text in running.acknowledged() if text.startswith(f"{victim} ")}
    running.wait_until(lambda: theirs <= set(outcome.stored()))
    assert running.process.poll() is None, running.shop.output()
    running.process.kill()


def wait_for_soft_limit(running: Running) -> None:
    """Terminate the worker once a task has met its limit, and others have come after it."""
    running.wait_until(lambda: running.shop.is_done("hurried"))
    running.wait_for_more()
    terminate(running)


COLD_END = Play(send("SIGQUIT"), statuses=COLD, tasks=ENDLESS, at_once=False)
WARM_END = Play(terminate)
KILLED = replace(COLD_END, end=send("SIGKILL"), statuses=(-9,))
KILLED_CHILD = replace(KILLED, end=kill_child, flush_interval_ms=200)
ONE_TASK_A_CHILD = Play(
    replace_children, (*ONE_CHILD, "--max-tasks-per-child", "1"), tasks=_work(2, MEDIUM)
)
BY_MEMORY = replace(ONE_TASK_A_CHILD, flags=(*ONE_CHILD, "--max-memory-per-child", "1"))
SOFT_END = replace(COLD_END, end=quit_softly, conf={"worker_soft_shutdown_timeout": 1.0})
AUTOSCALED = Play(
    terminate_scaled_up, ("-P", "prefork", "--autoscale", "3,1"), tasks=_work(100, 60)
)
OVERRUN = (("shop.overrun", ()), *MANY)
HURRIED = (("shop.hurried", ()), *MANY)
HARD_LIMIT = Play(outlive_a_child, ONE_CHILD, tasks=OVERRUN, at_once=False)

PLAYS = {
    "prefork, SIGTERM": WARM_END,
    "prefork, SIGQUIT": COLD_END,
    "prefork, SIGINT": Play(send("SIGINT"), statuses=(1,)),
    "prefork, SIGINT twice": replace(COLD_END, end=interrupt_twice),
    "prefork, SIGKILL": KILLED,
    "prefork, --max-tasks-per-child 1": ONE_TASK_A_CHILD,
    "prefork, --max-memory-per-child 1": BY_MEMORY,
    "prefork, --autoscale 3,1": AUTOSCALED,
    "prefork, soft shutdown": SOFT_END,
    "prefork, hard time limit": HARD_LIMIT,
    "prefork, soft time limit": Play(wait_for_soft_limit, ONE_CHILD, tasks=HURRIED),
    "prefork, a child is killed": KILLED_CHILD,
    "threads, SIGTERM": Play(terminate, ("-P", "threads", "-c", "3")),
    "solo, SIGTERM": Play(terminate, ("-P", "solo")),
    "gevent, SIGTERM": Play(terminate, ("-P", "gevent", "-c", "3")),
}

SERVED = {
    "SIGTERM": WARM_END,
    "SIGQUIT": COLD_END,
    "soft shutdown": SOFT_END,
    "SIGKILL": KILLED,
    "hard time limit": HARD_LIMIT,
    "--max-tasks-per-child 1": ONE_TASK_A_CHILD,
    "a child is killed": KILLED_CHILD,
}
BROKERS = {"redis": "Redis", "amqp": "RabbitMQ"}


def _row(name: str, play: Play) -> Row:
    more = ["gevent"] if "gevent" in play.flags else [play.broker] if play.broker else []
    return Row("celery", name, play.run, play.at_once, ("celery", *more))


ROWS = [
    *(_row(name, play) for name, play in PLAYS.items()),
    *(
        _row(f"prefork over {title}, {name}", replace(play, broker=broker))
        for broker, title in BROKERS.items()
        for name, play in SERVED.items()
    ),
]
