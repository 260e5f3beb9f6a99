"""A record may be made at any moment: under logging's lock, in a signal handler, by a finaliser."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import obswriter
import obswriter.testing
from obswriter import process
from obswriter_logging import ObservabilityHandler
from obswriter_testsupport.faults import run, stored_events
from obswriter_testsupport.stores import FaultyStorage

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """
import gc, logging
from obswriter_logging import ObservabilityHandler
logging.basicConfig(level="INFO", handlers=[ObservabilityHandler()])
log = logging.getLogger("shop")
counts = {"main": 0, "interrupting": 0}
def say(who):
    log.info("%s %d", who, counts[who])
    counts[who] += 1
inside = False
def interrupt(*_):  # one within the other, and so on, would come to an end after a few
    global inside
    if not inside:
        inside = True
        say("interrupting")
        inside = False
say("main")  # whoever interrupts the making of the first writer is not what is tested here
"""
BUSY = """
for number in range(2999):
    logging.getLogger(f"new.{number % 500}")  # takes logging's own lock
    say("main")
"""
SIGNALS = """
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
"""
FINALISERS = """
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        logging.getLogger(f"of.{id(self)}")
        # What obswriter's own thread logs while it stores is no event, be it a finaliser's.
        if threading.current_thread() is threading.main_thread():
            interrupt()
class Loud(logging.Logger):
    def makeRecord(self, name, level, path, line, message, args, *more, **others):
        if args[0] == "main":
            Cycle()  # is collected while its record, or a later one, is handled
        return super().makeRecord(name, level, path, line, message, args, *more, **others)
logging.setLoggerClass(Loud)
log = logging.getLogger("loud")
logging.setLoggerClass(logging.Logger)
gc.set_threshold(50)
"""
LOCKED = """
def under_the_lock(*_):
    with logging._lock:
        interrupt()
signal.signal(signal.SIGALRM, under_the_lock)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
"""
END = """
if hasattr(signal, "setitimer"):
    signal.setitimer(signal.ITIMER_REAL, 0)
gc.disable()
obswriter.flush()
ack(f"{counts['main']} {counts['interrupting']}")
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timers that send signals")
@pytest.mark.parametrize(
    "interrupting", [SIGNALS, FINALISERS, LOCKED], ids=["signal", "finaliser", "logging's lock"]
)
def test_nobody_waits_and_nothing_is_lost(tmp_path: Path, interrupting: str) -> None:
    """Delgan/loguru#390: a signal handler that writes log entries; Delgan/loguru#712: Deadlock when
    objects emit messages at garbage collection; Delgan/loguru#1091: in gunicorn's signal handler
    """
    outcome = run(SETUP + interrupting + BUSY + END, tmp_path, PYTHONDEVMODE="")
    assert outcome.status == 0, outcome.stderr
    assert outcome.stderr == ""
    said = dict(
        zip(("main", "interrupting"), map(int, outcome.acknowledged[-1].split()), strict=True)
    )
    assert said["main"] == 3000
    assert said["interrupting"] > 0
    stored = Counter(event["message"].split()[0] for event in stored_events(tmp_path, "log"))
    assert stored == said


SHUT_DOWN = """
logging.shutdown()
say("main")
logging.shutdown()
os._exit(0)
"""


def test_nothing_is_lost_at_loggings_shutdown(tmp_path: Path) -> None:
    """Not even what is recorded between it and the end of a process that ends without a word."""
    outcome = run(SETUP + SHUT_DOWN, tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert [e["message"] for e in stored_events(tmp_path, "log")] == ["main 0", "main 1"]


def test_an_event_loop_goes_on_while_the_store_hangs(tmp_path: Path) -> None:
    """Delgan/loguru#906: threaded lock is unsafe in async code. Only the loop itself lets the store
    go on: a call that waited for it would wait for ever.
    """
    store = FaultyStorage(tmp_path / "store")
    store.hold()
    writer = obswriter.ObservabilityWriter(
        file_storage=store, project_id="p", spool_dir=tmp_path / "spool", batch_size=10
    )
    logger = logging.Logger("loop")  # noqa: LOG001 - none that other tests share
    logger.addHandler(ObservabilityHandler())

    async def log(name: str) -> None:
        for number in range(500):
            logger.info("%s %d", name, number)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(log("one"), log("two"))
        assert store.hanging.wait(30)
        await asyncio.gather(log("three"), log("four"))
        store.release()

    before = process.exchange(writer)
    try:
        asyncio.run(main())
        assert writer.flush().errors == []
        assert writer.get_stats().written["log"] == 2000
    finally:
        process.exchange(before)
        writer.shutdown()


@pytest.mark.parametrize("where", ["logger", "handler"])
def test_nothing_is_formatted_for_a_record_below_the_level(
    captured: obswriter.testing.Captured, where: str
) -> None:
    class Expensive:
        def __str__(self) -> str:
            raise AssertionError("formatted for nobody")

        __repr__ = __str__

    logger, handler = logging.Logger("quiet"), ObservabilityHandler()  # noqa: LOG001
    logger.addHandler(handler)
    {"logger": logger, "handler": handler}[where].setLevel(logging.WARNING)
    logger.info("%s", Expensive(), extra={"value": Expensive()})
    logger.warning("loud enough")
    assert captured.one("log")["message"] == "loud enough"
