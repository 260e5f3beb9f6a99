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


def end_itself(ending: str, status: int, folder: Path) -> Outcome:
    outcome = faults.run(RECORD + ending, folder)
    assert outcome.status == status, outcome.stderr
    return outcome


def end_by_signal(name: str, folder: Path) -> Outcome:
    number = getattr(signal, name)
    outcome = faults.run(RECORD + WAIT, folder, lambda process: process.send_signal(number))
    assert outcome.status == -number, outcome.stderr
    return outcome


def _row(name: str, ending: str, status: int, *, at_once: bool = True) -> Row:
    return Row("script", name, partial(end_itself, ending, status), at_once)


ROWS = [
    _row("end of main", "", 0),
    _row("sys.exit", "sys.exit(3)", 3),
    _row("uncaught exception", "raise ValueError('not caught')", 1),
    Row("script", "SIGINT", partial(end_by_signal, "SIGINT")),
    Row("script", "SIGTERM", partial(end_by_signal, "SIGTERM")),
    Row("script", "SIGHUP", partial(end_by_signal, "SIGHUP")),
    Row("script", "SIGKILL", partial(end_by_signal, "SIGKILL"), at_once=False),
    _row("os._exit", "os._exit(0)", 0, at_once=False),
    _row(
        "segmentation fault",
        "import ctypes; ctypes.string_at(0)",
        -signal.SIGSEGV,
        at_once=False,
    ),
    _row("abort", "os.abort()", -signal.SIGABRT, at_once=False),
]
