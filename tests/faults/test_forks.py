"""Forks in the middle of everything: children begin with nothing, and draw names of their own."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from obswriter.adoption import adopt
from obswriter.storage import LocalStorage
from obswriter_testsupport.faults import Outcome, run, stored_events
from obswriter_testsupport.stores import IMPORTS
from obswriter_testsupport.wait import wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FORKING = """
import faulthandler, json, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: what is tested here

def in_child(work):
    pid = os.fork()
    if pid == 0:
        # A child that waits for a lock nobody will release says where, and ends.
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(20)
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid

def succeeded(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def assert_complete(outcome: Outcome, at_least: int) -> None:
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) >= at_least
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


THOUSAND = """
obswriter.configure(batch_size=200, flush_interval_ms=1000)
stop = threading.Event()
def work(name):
    number = 0
    while not stop.is_set():
        obswriter.log("info", f"{name} {number}")
        number += 1
        if number % 50 == 0:
            obswriter.flush(timeout=1)
        time.sleep(0.002)  # busy, but not starving the children
    ack(json.dumps({name: number}))
threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(3)]
for thread in threads: thread.start()

def child(number):
    # What the parent has open, waits for or is sending is none of the child's business.
    assert obswriter.get_writer().get_stats().recorded["log"] == 0
    obswriter.log("info", f"child {number}")
    if number % 20 == 0:
        with obswriter.span(f"child {number}"):
            pass
        assert obswriter.flush().errors == []

living = []
for number in range(1000):
    living.append(in_child(lambda: child(number)))
    if len(living) == 4:
        assert succeeded(living.pop(0))
assert all(map(succeeded, living))
stop.set()
for thread in threads: thread.join()
assert obswriter.shutdown().errors == []
"""


def test_a_thousand_forks_under_load_repeat_no_event_no_id_and_no_file_name(
    tmp_path: Path,
) -> None:
    outcome = run(FORKING + THOUSAND, tmp_path, PYTHONDEVMODE="")
    assert outcome.status == 0, outcome.stderr
    outcome.recover()
    expected = Counter(f"child {number}" for number in range(1000))
    for line in outcome.acknowledged:
        for name, count in json.loads(line).items():
            expected.update(f"{name} {number}" for number in range(count))
    assert outcome.stored() == expected
    drawn = Counter((event["type"], event["id"]) for event in stored_events(tmp_path))
    assert drawn.total() == expected.total() + 100  # a span and a trace of every twentieth child
    assert max(drawn.values()) == 1
    random_parts = [path.stem[-7:] for path in tmp_path.glob("observability/*/*/*.jsonl")]
    assert len(random_parts) - len(set(random_parts)) < 5  # of 2 ** 28


def test_siblings_forked_at_the_same_moment_draw_different_ids_and_file_names(
    tmp_path: Path,
) -> None:
    """Even where the clock says the same to all of them."""
    script = """
from types import SimpleNamespace
import obswriter.file_naming, obswriter.ids
with obswriter.span("parent"):
    obswriter.flush()
obswriter.file_naming.time = SimpleNamespace(time_ns=lambda: 1_790_000_000_000_000_000)
def child():
    from obswriter.file_naming import generate_file_name
    drawn = [generate_file_name() for _ in range(5)]
    drawn += [obswriter.ids.new_trace_id(), obswriter.ids.new_span_id()]
    ack("\\n".join(drawn))
assert all([succeeded(in_child(child)) for _ in range(100)])
"""
    outcome = run(FORKING + script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.acknowledged) == 700
    assert len(set(outcome.acknowledged)) == 700


HANGING = (
    IMPORTS
    + """
store = FaultyStorage(Path(os.environ["OBSWRITER_FILE_STORAGE"]))
obswriter.configure(
    file_storage=store, spool_dir=f"{os.environ['OBSWRITER_FILE_STORAGE']}/spool",
    batch_size=5, flush_interval_ms=0,
)
for number in range(23):
    record(f"parent {number}")
store.hold()
flushing = threading.Thread(target=obswriter.flush)
flushing.start()
assert store.hanging.wait(20)
"""
)


def test_a_child_forked_while_a_flush_hangs_in_the_store_sends_only_its_own(
    tmp_path: Path,
) -> None:
    script = """
def child():
    store._open = threading.Event()
    store.release()
    store.attempts = []
    for number in range(7):
        record(f"child {os.getpid()} {number}")
    assert obswriter.flush().errors == []
    assert obswriter.get_writer().get_stats().total_events_written == 7
    assert len(store.attempts) == 2
    obswriter.shutdown()
children = [in_child(child) for _ in range(5)]
assert all(map(succeeded, children))
record("parent still")
store.release()
flushing.join()
assert obswriter.shutdown().errors == []
"""
    assert_complete(run(FORKING + HANGING + script, tmp_path), 59)


HOLD_ALL = """
import obswriter.process
writer = obswriter.configure(batch_size=5, flush_interval_ms=0)
record("parent")
carrier = writer._batcher.carrier
held = threading.Event()
let_go = threading.Event()
def hold():
    with obswriter.process._lock, carrier._round_lock, writer._batcher._lock:
        held.set()
        let_go.wait()
holder = threading.Thread(target=hold, daemon=True)
holder.start()
held.wait()
"""


def test_a_child_waits_for_no_lock_that_another_thread_of_its_parent_held(tmp_path: Path) -> None:
    script = """
def child():
    for number in range(7):
        record(f"child {number}")
    assert obswriter.flush().errors == []
    assert obswriter.get_writer().get_stats().total_events_written == 7
    obswriter.configure(replace=True, batch_size=6)
    record("child again")
    assert obswriter.shutdown().events_written == 1
good = succeeded(in_child(child))
let_go.set()
holder.join()
assert good
"""
    assert_complete(run(FORKING + HOLD_ALL + script, tmp_path), 9)


def test_a_child_of_a_child_begins_clean_too(tmp_path: Path) -> None:
    script = """
obswriter.configure()
def descend(depth):
    for number in range(20):
        record(f"depth {depth} {number}")
    if depth < 5:
        assert succeeded(in_child(lambda: descend(depth + 1)))
    stats = obswriter.get_writer().get_stats()
    assert stats.recorded["log"] == 20, (depth, stats)
    assert obswriter.flush().errors == []
descend(0)
"""
    assert_complete(run(FORKING + script, tmp_path), 120)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_living_child_does_not_keep_its_dead_parents_spool_from_being_adopted(
    tmp_path: Path,
) -> None:
    """The child never records; it just holds what it was born with."""
    script = """
obswriter.configure()
record("parent")
root = os.environ["OBSWRITER_FILE_STORAGE"]
def child():
    signal.alarm(60)
    for descriptor in (0, 1, 2, OUT):
        os.close(descriptor)
    while not os.path.exists(f"{root}/stop"):
        doze()
    open(f"{root}/stopped", "w").close()
in_child(child)
os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = run(FORKING + script, tmp_path)
    [family] = (tmp_path / "observability" / ".spool").glob("*/*")
    found = adopt(str(family), LocalStorage(tmp_path), "observability")
    living = not (tmp_path / "stopped").exists()
    (tmp_path / "stop").touch()
    wait_until((tmp_path / "stopped").exists)
    assert living
    assert (found.events, found.errors) == (1, [])
    assert outcome.missing() == set()
