"""Signals and exit: what the application had arranged stays as it was."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obswriter import LocalStorage, Log, ObservabilityWriter, lifecycle
from obswriter.carrier import Carrier
from obswriter.spool import Spool
from obswriter_testsupport.faults import Outcome, run


def assert_complete(outcome: Outcome, status: int = 0) -> None:
    assert outcome.status == status, outcome.stderr
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


WAIT = """
record("a")
ack("READY")
while not stop:
    doze()
"""


def send(number: int) -> Callable[..., None]:
    return lambda process: process.send_signal(number)


def test_a_handler_of_the_applications_still_runs_and_the_process_goes_on(tmp_path: Path) -> None:
    script = (
        "stop = []\n"
        "signal.signal(signal.SIGTERM, lambda *a: (record('in handler'), stop.append(1)))\n"
        "obswriter.configure()\n" + WAIT + "record('after')\nsys.exit(5)"
    )
    outcome = run(script, tmp_path, send(signal.SIGTERM))
    assert_complete(outcome, 5)
    assert outcome.acknowledged == ["a", "in handler", "after"]


def test_a_handler_installed_later_is_the_applications_choice(tmp_path: Path) -> None:
    script = (
        "stop = []\nobswriter.configure()\n"
        "signal.signal(signal.SIGTERM, lambda *a: stop.append(1))\n" + WAIT
    )
    assert_complete(run(script, tmp_path, send(signal.SIGTERM)))


def test_a_signal_the_application_blocks_is_not_taken_by_the_background_thread(
    tmp_path: Path,
) -> None:
    script = """
obswriter.configure()
record("starts the thread")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
record("not interrupted")
assert signal.SIGUSR1 in signal.sigpending()
"""
    assert_complete(run(script, tmp_path))


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    script = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
obswriter.configure()
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
os.kill(os.getpid(), signal.SIGHUP)
record("still here")
"""
    assert_complete(run(script, tmp_path))


def test_keyboard_interrupt_is_raised_as_ever(tmp_path: Path) -> None:
    script = (
        "stop = []\nobswriter.configure()\ntry:"
        + WAIT.replace("\n", "\n    ")
        + """
except KeyboardInterrupt:
    record("interrupted")
"""
    )
    outcome = run(script, tmp_path, send(signal.SIGINT))
    assert_complete(outcome)
    assert outcome.acknowledged[-1] == "interrupted"


def test_asyncio_cancels_its_main_task_at_sigint_as_ever(tmp_path: Path) -> None:
    script = """
import asyncio
obswriter.configure()
async def main():
    record("a")
    ack("READY")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        record("cancelled")
        raise
asyncio.run(main())
"""
    outcome = run(script, tmp_path, send(signal.SIGINT))
    assert_complete(outcome, -signal.SIGINT)
    assert outcome.acknowledged == ["a", "cancelled"]


def test_sigint_by_default_action_flushes_first(tmp_path: Path) -> None:
    script = (
        "stop = []\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nobswriter.configure()\n" + WAIT
    )
    assert_complete(run(script, tmp_path, send(signal.SIGINT)), -signal.SIGINT)


def test_a_writer_made_in_a_thread_installs_no_handlers_and_raises_nothing(tmp_path: Path) -> None:
    script = """
def work():
    obswriter.configure()
    record("in a thread")
thread = threading.Thread(target=work)
thread.start(); thread.join()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    assert_complete(run(script, tmp_path))


def test_a_handler_that_interrupts_recording_and_records_or_flushes_breaks_nothing(
    tmp_path: Path,
) -> None:
    script = """
obswriter.configure(batch_size=20)
count = depth = 0
def handler(*_):
    global count, depth
    if depth < 3:
        depth += 1
        count += 1
        record(f"handler {count}")
        if count % 100 == 0:
            obswriter.flush(timeout=0.1)
        depth -= 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
number = 0
while count < 1000:
    record(f"main {number}")
    number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    outcome = run(script, tmp_path)
    assert len(outcome.acknowledged) > 1000
    assert_complete(outcome)


def test_a_finaliser_that_records_in_the_middle_of_recording_breaks_nothing(tmp_path: Path) -> None:
    script = """
import gc
obswriter.configure(batch_size=20)
gc.set_threshold(5)
made = 0
class Cycle:
    def __init__(self):
        global made
        made += 1
        self.me, self.number = self, made
    def __del__(self):
        record(f"finaliser {self.number}")
for number in range(5000):
    Cycle()
    record(f"main {number}")
gc.disable()
"""
    outcome = run(script, tmp_path)
    assert len(outcome.acknowledged) > 6000
    assert_complete(outcome)


@pytest.mark.parametrize("begun", [True, False], ids=["segment-open", "no-segment-yet"])
def test_what_an_object_records_while_the_interpreter_is_torn_down_is_kept(
    begun: bool, tmp_path: Path
) -> None:
    """Nothing can be imported any more, and reckoning with ``datetime`` crashes Python 3.13.0."""
    script = f"""
import gc, os
import obswriter.timestamps
obswriter.configure()
class Late:
    def __init__(self): self.me = self
    def __del__(self): record("late")
if {begun}: record("first")
late = Late()
gc.disable()
obswriter.timestamps._last_second = (0, "1970-01-01T00:00:00.")
"""
    outcome = run(script, tmp_path)
    assert outcome.acknowledged == ["first"] * begun + ["late"]
    assert_complete(outcome)


@pytest.mark.parametrize("hanging", [True, False])
def test_an_interpreter_that_exits_waits_for_a_store_no_longer_than_its_limit(
    hanging: bool, tmp_path: Path
) -> None:
    """With a limit of zero a store that hangs for ever delays nothing; what waits is on disk."""
    from obswriter_testsupport import stores

    limit = 0 if hanging else 20_000
    script = f"""
sys.path.insert(0, {str(Path(stores.__file__).parent.parent)!r})
from pathlib import Path
from obswriter_testsupport.stores import FaultyStorage
store = FaultyStorage(Path({str(tmp_path)!r}))
if {hanging}: store.hold()
obswriter.configure(
    file_storage=store, spool_dir={str(tmp_path / "spool")!r}, shutdown_timeout_ms={limit}
)
record("a")
"""
    outcome = run(script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    waiting = list((tmp_path / "spool").rglob("*.jsonl*"))
    if hanging:
        assert [path for path in waiting if path.read_bytes().startswith(b'{"type":"log"')]
    else:
        assert outcome.missing() == set()
        assert waiting == []


def test_handlers_that_call_each_other_never_loop(tmp_path: Path) -> None:
    """The application chains to ours; a second writer then goes before the application's."""
    script = """
obswriter.configure()
ours = signal.getsignal(signal.SIGTERM)
def chained(number, frame):
    record("in handler")
    ours(number, frame)
signal.signal(signal.SIGTERM, chained)
obswriter.configure(replace=True)
ack("READY")
while True:
    doze()
"""
    outcome = run(script, tmp_path, send(signal.SIGTERM))
    assert_complete(outcome, -signal.SIGTERM)
    assert outcome.acknowledged == ["in handler"]


def test_a_forked_child_whose_server_resets_the_signals_is_flushed_by_them(tmp_path: Path) -> None:
    """As a server does that loads the application before it forks its workers."""
    script = """
obswriter.configure()
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    record("in the child")
    os.kill(os.getpid(), signal.SIGTERM)
    doze()
_, status = os.waitpid(child, 0)
sys.exit(0 if os.waitstatus_to_exitcode(status) == -signal.SIGTERM else 1)
"""
    assert_complete(run(script, tmp_path))


def test_what_is_lost_at_the_end_is_said(tmp_path: Path) -> None:
    """There is neither a place for the spool nor for the files."""
    script = f"""
obswriter.configure(file_storage={str(tmp_path / "file" / "store")!r})
open({str(tmp_path / "file")!r}, "w").close()
for number in range(3):
    obswriter.log("info", "m")
"""
    outcome = run(script, tmp_path)
    assert outcome.status == 0
    assert outcome.stderr.count("events in memory could not be stored, and are lost: 3") == 1
    assert "file'" in outcome.stderr


def test_a_writer_that_was_shut_down_counts_from_zero_in_a_child_too(tmp_path: Path) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
writer = obswriter.configure()
record("in the parent")
obswriter.shutdown()
pid = os.fork()
if pid == 0:
    os._exit(sum(writer.get_stats().recorded.values()))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert_complete(run(script, tmp_path))


class OtherStorage(LocalStorage):
    """Not known by a path or URL."""


@pytest.mark.parametrize(
    "storage",
    [LocalStorage, OtherStorage, "memory://{}".format],
    ids=["folder", "object", "url"],
)
def test_an_exit_is_held_up_no_longer_than_the_longest_timeout(
    storage: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wait here lasts as long as it may; the interpreter asks twice, of each writer."""
    writers = []
    for seconds in (3, 4):
        place = storage(tmp_path / str(seconds))
        writer = ObservabilityWriter(
            file_storage=place,
            project_id="p",
            shutdown_timeout_ms=seconds * 1000,
            spool_dir=tmp_path / "spool",
        )
        writer.record_log(Log(level="info", message="waits"))
        writers.append(writer)
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)

    def wait(*arguments: object) -> None:
        clock.now += arguments[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Carrier, "flush", wait)
        patch.setattr(Carrier, "stop", wait)
        patch.setattr(Spool, "send_by_child", wait)
        patch.setattr("obswriter.batcher.time", clock)
        patch.setattr("obswriter.lifecycle.time", clock)
        patch.setattr(lifecycle, "_batchers", [writer._batcher for writer in writers])
        patch.setattr(lifecycle, "_waited", 0.0)
        lifecycle._at_exit(threads_run=True)
        lifecycle._at_exit(threads_run=False)
    assert clock.now == 4
    for writer in writers:
        writer._batcher.carrier.inline = False
        writer.shutdown()


def test_a_signal_that_is_handled_outside_python_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replaced = []
    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda number: None)
        patch.setattr(signal, "signal", lambda number, handler: replaced.append(number))
        lifecycle._install_signal_handlers()
    assert replaced == []
