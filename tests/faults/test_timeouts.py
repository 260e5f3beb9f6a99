"""A store that hangs for ever holds up nobody longer than they agreed to wait."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obswriter import Log, ObservabilityWriter
from obswriter_testsupport.faults import Outcome, run
from obswriter_testsupport.stores import IMPORTS, FaultyStorage
from obswriter_testsupport.wait import wait_until

Make = Callable[..., ObservabilityWriter]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaultyStorage]:
    store = FaultyStorage(tmp_path / "store")
    store.hold()
    yield store
    store.release()


@pytest.fixture
def make(store: FaultyStorage, tmp_path: Path) -> Iterator[Make]:
    made = []

    def make(**options: Any) -> ObservabilityWriter:
        defaults = {"project_id": "p", "flush_interval_ms": 0, "spool_dir": tmp_path / "spool"}
        made.append(ObservabilityWriter(file_storage=store, **{**defaults, **options}))
        return made[-1]

    yield make
    store.release()
    for writer in made:
        if not writer.is_shutdown:
            writer.shutdown()
        if thread := writer._batcher.carrier._thread:
            thread.join()


def log(writer: ObservabilityWriter, *messages: str) -> None:
    for message in messages:
        writer.record_log(Log(level="info", message=message))


def late(result: Any) -> list[tuple[str, int]]:
    assert all(isinstance(error.error, TimeoutError) for error in result.errors)
    return [(error.type, error.event_count) for error in result.errors]


# None of these would ever return if its timeout did not hold: the store hangs until the test ends.


def test_flush_returns_and_says_what_it_waited_for(make: Make, store: FaultyStorage) -> None:
    writer = make()
    log(writer, "a", "b")
    writer.record_metric({"name": "m", "value": 1})
    assert late(writer.flush(timeout=0.05)) == [("log", 2), ("metric", 1)]
    log(writer, "c")
    assert late(writer.flush(timeout=0)) == [("log", 3), ("metric", 1)]
    assert len(store.attempts) == 1


def test_many_flushes_at_once_each_keep_their_own_timeout(make: Make) -> None:
    writer = make()
    log(writer, "a")
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(writer.flush(timeout=n / 100)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [late(result) for result in results] == [[("log", 1)]] * 8


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_shutdown_returns_and_the_spool_has_what_is_left(
    timeout: float, make: Make, tmp_path: Path
) -> None:
    writer = make()
    log(writer, "a", "b")
    assert late(writer.shutdown(timeout=timeout)) == [("log", 2)]
    assert late(writer.shutdown(timeout=timeout)) == [("log", 2)]
    files = [path.read_bytes() for path in (tmp_path / "spool").rglob("*.jsonl*")]
    assert sum(data.count(b'"message":') for data in files) == 2


def test_a_flush_after_a_shutdown_that_gave_up_returns_when_the_store_does(
    make: Make, store: FaultyStorage
) -> None:
    writer = make()
    log(writer, "a")
    writer.flush(timeout=0)
    assert store.hanging.wait(10)
    assert late(writer.shutdown(timeout=0)) == [("log", 1)]
    carrier = writer._batcher.carrier
    flushing = threading.Thread(target=writer.flush, daemon=True)
    flushing.start()
    wait_until(lambda: carrier._tickets or not flushing.is_alive())
    store.release()
    flushing.join(3)
    assert not flushing.is_alive()


def test_without_a_timeout_shutdown_takes_the_option_for_it(make: Make) -> None:
    writer = make(shutdown_timeout_ms=50)
    log(writer, "a")
    assert late(writer.shutdown()) == [("log", 1)]


async def test_the_event_loop_goes_on_while_a_flush_waits(make: Make) -> None:
    import asyncio

    writer = make()
    log(writer, "a")
    flush = asyncio.create_task(writer.aflush(timeout=0.1))
    ticks = 0
    while not flush.done():
        await asyncio.sleep(0)
        ticks += 1
    assert late(await flush) == [("log", 1)]
    assert ticks > 2
    assert late(await writer.ashutdown(timeout=0.05)) == [("log", 1)]


@pytest.mark.parametrize("spool", [None, "/proc/no such place"], ids=["mapped", "in memory"])
def test_a_writer_that_is_replaced_while_its_store_hangs_holds_up_the_next_only_so_long(
    spool: str | None, make: Make, store: FaultyStorage, tmp_path: Path
) -> None:
    writer = make(shutdown_timeout_ms=50, **({"spool_dir": spool} if spool else {}))
    log(writer, "a")
    writer.flush(timeout=0)
    assert store.hanging.wait(10)
    log(writer, "b")
    following = ObservabilityWriter(file_storage=tmp_path / "other", project_id="p")
    writer.implicit = True
    writer.give_way(following)
    log(following, "c")
    assert following.shutdown().events_written == 1


HANGING = (
    IMPORTS
    + """
store = FaultyStorage(Path(os.environ["OBSWRITER_FILE_STORAGE"]))
store.hold()
obswriter.configure(
    file_storage=store, spool_dir=f"{os.environ['OBSWRITER_FILE_STORAGE']}/spool",
    shutdown_timeout_ms=100, batch_size=5, flush_interval_ms=0,
)
for number in range(12):
    record(f"event {number}")
assert store.hanging.wait(20)
"""
)


def spooled_lines(root: Path) -> int:
    return sum(path.read_bytes().count(b'"message":') for path in root.rglob("spool/**/*.jsonl*"))


def adopted(outcome: Outcome) -> None:
    """Do as the next start does, when the store answers again."""
    from obswriter.adoption import adopt

    store = FaultyStorage(outcome.root)
    for family in (outcome.root / "spool").glob("*/*"):
        assert adopt(str(family), store, "observability").errors == []
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


ENDINGS = {
    "end of main": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)\ndoze()", -signal.SIGTERM),
    "SIGTERM while flushing": (
        "threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()\nobswriter.flush()",
        -signal.SIGTERM,
    ),
    "SIGINT while flushing": (
        "threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()\nobswriter.flush()",
        -signal.SIGINT,
    ),
    "shutdown at a signal": (
        """
def handler(*_):
    obswriter.shutdown(timeout=0.1)
    sys.exit(4)
signal.signal(signal.SIGTERM, handler)
os.kill(os.getpid(), signal.SIGTERM)
doze()
""",
        4,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_by_itself_and_as_ever_while_the_store_hangs(
    ending: str, tmp_path: Path
) -> None:
    script, status = ENDINGS[ending]
    outcome = run(HANGING + script, tmp_path)
    assert outcome.status == status, outcome.stderr
    assert len(outcome.acknowledged) == 12
    assert spooled_lines(tmp_path) == 12
    adopted(outcome)


# As process 1, as in a container.
AS_FIRST = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@cache
def problem_with_namespaces() -> str | None:
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run([*AS_FIRST, "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else None


@pytest.fixture
def as_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python started as process 1 of a namespace of its own."""
    if problem := problem_with_namespaces():
        pytest.skip(f"no process can be the first one here: {problem}")
    program = tmp_path / "python-as-first"
    program.write_text(f'#!/bin/sh\nexec {" ".join(AS_FIRST)} {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


CONFIGURED = IMPORTS + "obswriter.configure()\nassert os.getpid() == 1\n"


def from_outside(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to process 1 of the namespace, as a container's runtime does."""
    [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)


@pytest.mark.usefixtures("as_first")
@pytest.mark.parametrize("status", [0, 3])
def test_process_1_ends_by_itself_and_as_ever_while_the_store_hangs(
    status: int, tmp_path: Path
) -> None:
    outcome = run(HANGING + f"assert os.getpid() == 1\nsys.exit({status})", tmp_path)
    assert outcome.status == status, outcome.stderr
    assert spooled_lines(tmp_path) == 12
    adopted(outcome)


@pytest.mark.usefixtures("as_first")
@pytest.mark.parametrize("setup", [CONFIGURED, HANGING], ids=["local", "hanging"])
def test_process_1_that_handles_sigterm_from_outside_ends_as_it_chose(
    setup: str, tmp_path: Path
) -> None:
    script = """
def handler(*_):
    record("in the handler")
    sys.exit(143)
signal.signal(signal.SIGTERM, handler)
record("before")
ack("READY")
while True:
    doze()
"""
    outcome = run(setup + script, tmp_path, from_outside)
    assert outcome.status == 143, outcome.stderr
    assert outcome.acknowledged[-2:] == ["before", "in the handler"]
    adopted(outcome)


@pytest.mark.usefixtures("as_first")
def test_process_1_without_a_handler_survives_sigterm_from_outside_with_everything_stored(
    tmp_path: Path,
) -> None:
    script = """
record("before")
ack("READY")
folder = Path(os.environ["OBSWRITER_FILE_STORAGE"])
while not list(folder.glob("observability/log/*/*.jsonl")):
    doze()
record("after")
"""
    outcome = run(CONFIGURED + script, tmp_path, from_outside)
    assert outcome.status == 0, outcome.stderr
    assert outcome.acknowledged == ["before", "after"]
    adopted(outcome)


def test_flush_and_shutdown_wait_as_long_as_they_were_told_in_all_and_no_longer(
    make: Any, store: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wait here lasts as long as it may."""
    writer = make()
    log(writer, "a")
    writer.flush(timeout=0)
    assert store.hanging.wait(10)
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)

    def wait(*arguments: Any) -> None:
        clock.now += arguments[-1]

    event = type("Event", (threading.Event,), {"wait": wait})
    with monkeypatch.context() as patch:
        patch.setattr("obswriter.batcher.time", clock)
        patch.setattr(
            "obswriter.carrier.threading", SimpleNamespace(**{**vars(threading), "Event": event})
        )
        patch.setattr(writer._batcher.carrier._thread, "join", wait)
        assert late(writer.flush(timeout=3)) == [("log", 1)]
        assert clock.now == 3
        assert late(writer.shutdown(timeout=4)) == [("log", 1)]
        assert clock.now == 7


def test_a_flush_keeps_its_timeout_while_another_thread_stores_in_line(
    make: Any, store: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "obswriter":
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    writer = make()
    log(writer, "a")
    storing = threading.Thread(target=writer.flush, daemon=True)
    storing.start()
    assert store.hanging.wait(10)
    assert late(writer.flush(timeout=0.05)) == [("log", 1)]
    store.release()
    storing.join()


@pytest.mark.usefixtures("as_first")
def test_process_1_without_a_handler_is_flushed_by_each_sigterm(tmp_path: Path) -> None:
    script = """
folder = Path(os.environ["OBSWRITER_FILE_STORAGE"])
for number in range(1, 4):
    record(f"event {number}")
    ack("READY")
    while len(list(folder.glob("observability/log/*/*.jsonl"))) < number:
        doze()
"""
    outcome = run(CONFIGURED + script, tmp_path, from_outside)
    assert outcome.status == 0, outcome.stderr
    adopted(outcome)
