"""Children of a process: forked, spawned, in a pool, and one that is killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from obswriter_testsupport import faults
from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import PRELUDE, Outcome

FORK = """
obswriter.configure()
record("parent before")
pid = os.fork()
if pid == 0:
    for number in range(300):
        record(f"child {number}")
    assert obswriter.get_writer().get_stats().recorded["log"] == 300
    sys.exit(0)
record("parent after")
_, status = os.waitpid(pid, 0)
assert status == 0
"""

KILLED = """
import obswriter.spool
obswriter.spool.ADOPTION_SECONDS = 0.2
obswriter.configure(flush_interval_ms=200)
record("parent before")
pid = os.fork()
if pid == 0:
    for number in range(300):
        record(f"child {number}")
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
deadline = time.monotonic() + 30
while obswriter.get_writer().get_stats().recovered < 300:
    assert time.monotonic() < deadline, "the parent has not adopted its child's events"
    time.sleep(0.01)
"""

MULTIPROCESSING = """
import multiprocessing
if __name__ == "__main__":
    obswriter.configure()
    record("parent")
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(f"child {{n}}",)) for n in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
"""

POOL = """
import concurrent.futures
if __name__ == "__main__":
    obswriter.configure()
    record("parent")
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert len(list(pool.map(work, [f"task {n}" for n in range(6)]))) == 6
"""

# A module, so that a child that is not forked can import what it is to do.
WORK = """
def work(name):
    for number in range(100):
        record(f"{name} {number}")
    return name
"""
IMPORT = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: what is tried here
sys.path.insert(0, {folder!r})
from work_for_children import work
"""


def end_well(script: str, at_least: int, folder: Path) -> Outcome:
    outcome = faults.run(script, folder)
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) >= at_least
    return outcome


def kill_a_child(folder: Path) -> Outcome:
    outcome = end_well(KILLED, 301, folder)
    assert outcome.missing() == set()  # its parent has seen to that
    return outcome


def end_with_workers(script: str, at_least: int, folder: Path) -> Outcome:
    (folder / "work_for_children.py").write_text(PRELUDE + WORK)
    return end_well(IMPORT.format(folder=str(folder)) + script, at_least, folder)


def _multiprocessing(method: str) -> Row:
    script = MULTIPROCESSING.format(method=method)
    return Row("children", f"multiprocessing {method}", partial(end_with_workers, script, 301))


ROWS = [
    Row("children", "os.fork", partial(end_well, FORK, 302)),
    *map(_multiprocessing, ["fork", "spawn", "forkserver"]),
    Row("children", "ProcessPoolExecutor", partial(end_with_workers, POOL, 601)),
    Row("children", "killed while the parent lives on", kill_a_child, at_once=False),
]
