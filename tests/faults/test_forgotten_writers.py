"""A writer that nobody refers to any more is looked after until the process ends."""

from __future__ import annotations

from pathlib import Path

from obswriter_testsupport.faults import run

FORGOTTEN = """
def record_and_forget():
    ObservabilityWriter(project_id="p").record_log(Log(level="info", message="a"))
    ack("a")
from obswriter import ObservabilityWriter
record_and_forget()
"""


def test_a_writer_that_nobody_refers_to_any_more_is_flushed_at_exit(tmp_path: Path) -> None:
    assert run(FORGOTTEN, tmp_path).missing() == set()


def test_a_child_holds_no_lock_of_a_writer_that_nobody_refers_to(tmp_path: Path) -> None:
    script = """
if os.fork() == 0:
    os.close(1)
    os.close(OUT)  # the test waits for whoever can still write to them
    while not os.path.exists(os.environ["OVER"]):
        doze()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    over = tmp_path / "over"
    outcome = run(FORGOTTEN + script, tmp_path / "store", OVER=str(over))
    outcome.recover()
    over.touch()
    assert outcome.missing() == set()
