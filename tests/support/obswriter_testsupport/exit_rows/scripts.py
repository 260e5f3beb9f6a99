"""Scripts: they end by themselves, by a signal, or just stop."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from obswriter_testsupport import faults
from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome

RECORD = """
obswriter.configure()
for number in range(500):
    record(f"event {number}")
"""

WAIT = """
ack("READY")
while True:
    doze()
"""

GO_ON = """
ack("READY")
for number in range(500, 10**9):
    record(f"event {number}")
"""


def end_itself(ending: str, status: int, folder: Path) -> Outcome:
    outcome = faults.run(RECORD + ending, folder)
    assert outcome.status == status, outcome.stderr
    return outcome


def end_by_signal(name: str, meanwhile: str, folder: Path) -> Outcome:
    number = getattr(signal, name)
    outcome = faults.run(RECORD + meanwhile, folder, lambda process: process.send_signal(number))
    assert outcome.status == -number, outcome.stderr
    return outcome


def _row(name: str, ending: str, status: int, *, at_once: bool = True) -> Row:
    return Row("script", name, partial(end_itself, ending, status), at_once)


def _signalled(name: str, meanwhile: str, *, at_once: bool) -> Row:
    title = f"{name} while recording" if meanwhile is GO_ON else name
    return Row("script", title, partial(end_by_signal, name, meanwhile), at_once)


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")

ROWS = [
    _row("end of main", "", 0),
    _row("sys.exit", "sys.exit(3)", 3),
    _row("uncaught exception", "raise ValueError('not caught')", 1),
    *(_signalled(name, WAIT, at_once=name != "SIGKILL") for name in SIGNALS),
    # It may strike in the very frame that holds the lock: what that one holds up, is adopted.
    *(_signalled(name, GO_ON, at_once=False) for name in SIGNALS),
    _row("os._exit", "os._exit(0)", 0, at_once=False),
    _row(
        "segmentation fault",
        "import ctypes; ctypes.string_at(0)",
        -signal.SIGSEGV,
        at_once=False,
    ),
    _row("abort", "os.abort()", -signal.SIGABRT, at_once=False),
]
