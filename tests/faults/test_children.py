"""Children forked at a bad moment start clean, and lose nothing; see also the exit matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.faults import Outcome, run

if TYPE_CHECKING:
    from pathlib import Path


def assert_complete(outcome: Outcome, at_least: int) -> None:
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) >= at_least
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


def test_a_child_forked_while_a_file_is_being_closed_begins_clean_all_the_same(
    tmp_path: Path,
) -> None:
    """Between closing a descriptor and forgetting it another thread may fork."""
    script = """
obswriter.configure()
record("parent")
[bucket] = obswriter.get_writer()._batcher._buckets.values()
os.close(bucket.segment.fd)
pid = os.fork()
if pid == 0:
    record("child")
    sys.exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0
bucket.segment.fd = os.open(bucket.segment.path, os.O_RDWR)
"""
    assert_complete(run(script, tmp_path), 2)


def test_forks_while_threads_record_and_flush_neither_hang_nor_repeat(tmp_path: Path) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
obswriter.configure(batch_size=50)
stop = threading.Event()
def work(name):
    number = 0
    while not stop.is_set():
        record(f"{name} {number}")
        number += 1
        if number % 200 == 0:
            obswriter.flush()
threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(3)]
for thread in threads: thread.start()
for fork in range(40):
    pid = os.fork()
    if pid == 0:
        for number in range(20):
            record(f"child {fork} {number}")
        obswriter.flush()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0
stop.set()
for thread in threads: thread.join()
"""
    assert_complete(run(script, tmp_path), 800)


CLOSE_ALL = """
obswriter.configure()
record("before")
while not all(b.spare for b in obswriter.get_writer()._batcher._buckets.values()):
    doze()  # the thread has opened what it opens
for first, end in ((3, OUT), (OUT + 1, 1024)):
    os.closerange(first, end)
"""


@pytest.mark.parametrize(
    "script",
    [
        "",
        "assert obswriter.flush().errors == []",
        "obswriter.configure(replace=True, batch_size=7)",
        """
pid = os.fork()
if pid == 0:
    record("child")
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
    ],
    ids=["it ends", "it flushes", "it is configured anew", "it forks"],
)
def test_a_daemon_that_closes_all_descriptors_goes_on_in_silence(
    script: str, tmp_path: Path
) -> None:
    ignore = "import warnings\nwarnings.simplefilter('ignore')\n"
    outcome = run(ignore + CLOSE_ALL + script + "\nrecord('after')", tmp_path)
    outcome.recover()
    assert_complete(outcome, 2)
    assert outcome.stderr == ""


def test_the_child_of_a_thread_ends_where_that_thread_does_with_everything_stored(
    tmp_path: Path,
) -> None:
    """It never comes to Python's exit, and without threads of ours it would end there, too."""
    script = """
pids = []
def fork():
    pid = os.fork()
    if pid:
        pids.append(pid)
    else:
        for number in range(50):
            record(f"child {number}")
obswriter.configure(flush_interval_ms=100)
record("parent")
thread = threading.Thread(target=fork)
thread.start()
thread.join()
assert os.waitpid(pids[0], 0)[1] == 0
stored = list(__import__("pathlib").Path(os.environ["OBSWRITER_FILE_STORAGE"]).rglob("*.jsonl"))
assert sum(path.read_bytes().count(b"child") for path in stored) == 50, stored
"""
    outcome = run(script, tmp_path, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) == 51
    assert outcome.missing() == set()
    assert outcome.duplicated() == []
