"""What a script records at its very end, or beside it, is kept; see also the exit matrix."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.exit_rows.scripts import RECORD
from obswriter_testsupport.faults import Outcome, run

if TYPE_CHECKING:
    from pathlib import Path

SIGNALLED = (
    RECORD
    + """
stop = threading.Event()
def more():
    number = 500
    while not stop.is_set():
        record(f"event {number}")
        number += 1
threading.Thread(target=more, daemon=True).start()
ack("READY")
while True:
    doze()
"""
)


def assert_complete(outcome: Outcome) -> None:
    assert len(outcome.acknowledged) >= 500
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


def test_a_script_that_shuts_down_itself_leaves_complete_files(tmp_path: Path) -> None:
    outcome = run(RECORD + "obswriter.shutdown(); sys.exit(0)", tmp_path)
    assert outcome.status == 0
    assert_complete(outcome)


def test_what_other_exit_handlers_record_is_stored_too(tmp_path: Path) -> None:
    script = """
import atexit
atexit.register(lambda: record("registered before obswriter, runs after it"))
obswriter.configure()
atexit.register(lambda: record("runs before"))
for number in range(500):
    record(f"event {number}")
"""
    assert_complete(run(script, tmp_path))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_flushes_first_while_another_thread_records(name: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    outcome = run(SIGNALLED, tmp_path, lambda process: process.send_signal(number))
    assert outcome.status == -number
    # The other thread goes on recording while the signal is handled, up to the end.
    early = {f"event {n}" for n in range(500)}
    assert early <= set(outcome.stored())
    outcome.recover()
    assert_complete(outcome)


def test_a_process_killed_in_the_middle_of_recording_is_complete_after_adoption(
    tmp_path: Path,
) -> None:
    script = """
obswriter.configure(batch_size=100)
def work(name):
    for number in range(1_000_000):
        record(f"{name}-{number}")
for name in "abcd":
    threading.Thread(target=work, args=(name,), daemon=True).start()
while obswriter.get_writer().get_stats().recorded["log"] < 2500:
    os.sched_yield()
ack("READY")
doze()
"""
    outcome = run(script, tmp_path, lambda process: process.kill())
    assert outcome.status == -signal.SIGKILL
    assert len(outcome.acknowledged) > 500
    outcome.recover()
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


def test_the_next_start_adopts_what_a_killed_process_left(tmp_path: Path) -> None:
    killed = run(RECORD + "os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert killed.missing() == set(killed.acknowledged)
    script = """
obswriter.configure()
record("the next one")
while obswriter.get_writer().get_stats().recovered < 500:
    os.sched_yield()
"""
    after = run(script, tmp_path)
    assert after.status == 0
    assert killed.missing() == set()
    assert killed.duplicated() == []
