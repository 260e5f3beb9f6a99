"""A small shop of Celery tasks, its real workers, and an application that publishes to them."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock
from uuid import uuid4

from obswriter_testsupport.processes import end_process
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

TASKS = '''
import json, logging, os, signal
from pathlib import Path

from celery import Celery, signals
from celery.utils.log import get_task_logger

import obswriter
import obswriter_celery
from obswriter_logging import ObservabilityHandler

logging.basicConfig(level="INFO", handlers=[ObservabilityHandler()])
FOLDER = Path(os.environ["SHOP_FOLDER"])
app = Celery("shop")
app.conf.update(json.loads(os.environ["SHOP_CONF"]))
obswriter_celery.install(app)
logger = get_task_logger("shop.tasks")

@signals.worker_ready.connect
def say_ready(**_):
    (FOLDER / "ready").touch()

@app.task(bind=True, name="shop.order")
def order(self, number):
    """Log, and leave a mark outside of anything that is tested."""
    logger.info("order %d", number)
    logging.getLogger("shop.plain").info("plain %d", number)
    (FOLDER / f"done-{number}").touch()

@app.task(name="shop.fail")
def fail():
    raise ValueError("out of stock")

@app.task(bind=True, name="shop.flaky", max_retries=2)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("busy"), countdown=0)
    (FOLDER / "done-flaky").touch()

@app.task(name="shop.batch")
def batch(*numbers):
    with obswriter.span("dispatch"):
        for number in numbers:
            order.delay(number)

@app.task(name="shop.killed")
def killed():
    with obswriter.span("before the kill"):
        logger.info("about to be killed")
    os.kill(os.getpid(), signal.SIGKILL)

@app.task(name="shop.killed_once")
def killed_once():
    mark = FOLDER / "was-killed"
    if not mark.exists():
        mark.touch()
        logger.info("about to be killed once")
        os.kill(os.getpid(), signal.SIGKILL)
    (FOLDER / "done-killed-once").touch()

@app.task(name="shop.hangs", time_limit=1)
def hangs():
    signal.pause()

@app.task(name="shop.waits")
def waits():
    (FOLDER / "done-waiting").touch()
    signal.pause()

@app.task(name="shop.hurries", soft_time_limit=1)
def hurries():
    signal.pause()

@app.task(name="shop.add")
def add(a, b):
    (FOLDER / f"done-{a}+{b}").touch()
    return a + b

@app.task(name="shop.total")
def total(numbers):
    (FOLDER / f"done-total-{sum(numbers)}").touch()
    return sum(numbers)

@app.task(bind=True, name="shop.delegates")
def delegates(self):
    raise self.replace(add.si(5, 5))

@app.task(name="shop.rescue")
def rescue(id_of_what_failed):
    (FOLDER / "done-rescue").touch()

@app.task(name="shop.refuses")
def refuses():
    raise ValueError("refused")
'''


@dataclass
class Shop:
    """Where a test's worker runs, and what its processes and the publisher agree on."""

    folder: Path
    storage: Path
    conf: dict[str, Any]

    def publisher(self) -> Celery:
        """Return an application that knows the tasks by name only; close it after use."""
        from celery import Celery

        app = Celery("publisher", set_as_current=False)
        app.conf.update(self.conf)
        return app

    def environ(self, **options: str) -> dict[str, str]:
        """Return the environment of a process that works with the shop."""
        settings = {
            "OBSWRITER_FILE_STORAGE": str(self.storage),
            "OBSWRITER_PROJECT_ID": "test",
            "OBSWRITER_FLUSH_INTERVAL_MS": "60000",
            "PYTHONPATH": os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")]),
            "SHOP_CONF": json.dumps(self.conf),
            "SHOP_FOLDER": str(self.folder),
        }
        return {**os.environ, **settings, **options}

    def is_done(self, *names: object) -> bool:
        """Whether these tasks have run to their end."""
        return all((self.folder / f"done-{name}").exists() for name in names)

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")


def make_shop(folder: Path, storage: Path, broker_url: str = "filesystem://") -> Shop:
    """Write the tasks' module, and choose a queue that nobody else uses."""
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text(TASKS)
    conf: dict[str, Any] = {
        "broker_url": broker_url,
        "broker_connection_retry_on_startup": True,
        "task_default_queue": f"obswriter-test-{uuid4().hex}",
        "task_ignore_result": True,
        "worker_enable_remote_control": False,
        "worker_prefetch_multiplier": 1,
    }
    if broker_url == "filesystem://":
        (folder / "messages").mkdir()
        (folder / "control").mkdir()
        conf["broker_transport"] = "obswriter.cli.demo.broker:Transport"
        conf["broker_transport_options"] = {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "store_processed": False,
            "polling_interval": 0.05,
        }
    return Shop(folder, storage, conf)


@contextmanager
def working(shop: Shop, *flags: str, **options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker until the block ends; enter the block once it takes tasks."""
    (shop.folder / "ready").unlink(missing_ok=True)
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-l", "INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (shop.folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [*command, *quiet, *flags],
            cwd=shop.folder,
            env=shop.environ(**options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _is_ready(shop, process), 60, message=shop.output)
        yield process
    finally:
        end_process(process, 30)


def is_idle(worker: subprocess.Popen[bytes], children: int) -> bool:
    """Whether so many children of a prefork worker all wait for a task."""
    doing = []
    with suppress(FileNotFoundError, ProcessLookupError):  # one has just ended
        doing = [Path(f"/proc/{pid}/wchan").read_text() for pid in _children(worker)]
    return len(doing) == children and all("pipe_read" in what for what in doing)


def _children(worker: subprocess.Popen[bytes]) -> list[int]:
    lists = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return [int(pid) for path in lists for pid in path.read_text().split()]


def end_of(worker: subprocess.Popen[bytes], timeout: float = 30) -> int:
    """Wait for a worker that was told to end, and return its status.

    One that is told so while a child takes the place of another may never end, with obswriter or
    without: billiard waits for a lock that the child held when it was terminated. It is killed
    then; what its children have stored is there all the same.
    """
    try:
        return worker.wait(timeout)
    except subprocess.TimeoutExpired:
        if not replaces_children(cast("list[str]", worker.args)):
            raise
        for pid in [*_children(worker), worker.pid]:
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        return 0


def replaces_children(flags: list[str]) -> bool:
    """Whether a worker that is started so ends its children after some tasks."""
    return bool({"--max-tasks-per-child", "--max-memory-per-child"} & {*flags})


def _is_ready(shop: Shop, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, shop.output()
    return (shop.folder / "ready").exists()


@contextmanager
def working_here(app: Celery, pool: str = "solo", concurrency: int = 1) -> Iterator[None]:
    """Run a worker in a thread of this process until the block ends; it knows *app*'s tasks.

    They are to be ``shared=False``: else later applications have them, too.
    """
    from celery import _state, signals
    from celery.contrib.testing.worker import start_worker

    app.conf.update(
        accept_content=["json", "pickle", "yaml", "msgpack"],
        broker_transport_options={"polling_interval": 0.01},
        task_ignore_result=True,
        worker_enable_remote_control=False,
    )
    started = start_worker(app, concurrency, pool, perform_ping_check=False, shutdown_timeout=60)
    before = _state.default_app, _state.get_current_app()
    # Who hears this has set logging up: nothing is changed that later tests would meet.
    signals.setup_logging.connect(_leave_alone)
    try:
        with mock.patch.dict(os.environ), started:
            yield
    finally:
        logging.captureWarnings(capture=False)
        signals.setup_logging.disconnect(_leave_alone)
        _state.set_default_app(before[0])
        before[1].set_current()


def _leave_alone(**_: object) -> None:
    pass
