"""Whoever interrupts record_*() on its own thread may record too: a signal, a finaliser, a log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from obswriter_testsupport.faults import Outcome, run, stored_events
from obswriter_testsupport.stores import IMPORTS

COUNTED = """
import json
from collections import Counter
recorded = Counter()

def put(name):
    # Who records a name never interrupts itself, so that its numbers are drawn one by one.
    obswriter.get_writer().record_log(Log(level="info", message=f"{name} {recorded[name]}"))
    recorded[name] += 1
"""

# A handler that interrupts whatever goes on, but not itself.
INTERRUPTED = """
inside = False
def handler(*_):
    global inside
    if not inside:
        inside = True
        interrupt()
        inside = False
signal.signal(signal.SIGALRM, handler)
"""


def assert_each_once(outcome: Outcome, at_least: int) -> None:
    """Every number of each name that the child counted is stored, once, in order."""
    assert outcome.status == 0, outcome.stderr
    recorded: Counter[str] = Counter(json.loads(outcome.acknowledged[-1]))
    found: dict[str, list[int]] = {}
    for event in stored_events(outcome.root, "log"):
        name, _, number = event["message"].partition(" ")
        found.setdefault(name, []).append(int(number))
    assert {name: len(numbers) for name, numbers in found.items()} == recorded
    assert all(numbers == list(range(len(numbers))) for numbers in found.values())
    assert recorded.total() >= at_least


def test_a_signal_handler_that_records_hundreds_of_thousands_of_times_breaks_nothing(
    tmp_path: Path,
) -> None:
    """Files are closed by their number of events, by their size, and by the handler itself."""
    script = """
def interrupt():
    put("handler")
    if recorded["handler"] % 500 == 0:
        obswriter.flush(timeout=0)

for name, options in {
    "small": {"batch_size": 7},
    "middling": {"batch_size": 1000},
    "sized": {"batch_size": 1_000_000, "max_file_size": 700_000},
}.items():
    obswriter.configure(replace=True, flush_interval_ms=50, **options)
    end = 2_000 if name == "small" else 80_000
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    while recorded[name] < end:
        put(name)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert obswriter.shutdown().errors == []
    stats = obswriter.get_writer().get_stats()
    assert stats.recorded["log"] == stats.written["log"]
assert recorded["handler"] > 1000, recorded
ack(json.dumps(recorded))
"""
    outcome = run(COUNTED + INTERRUPTED + script, tmp_path, PYTHONDEVMODE="")
    assert_each_once(outcome, 162_000)


def test_a_finaliser_run_by_the_garbage_collector_that_records_breaks_nothing(
    tmp_path: Path,
) -> None:
    """While an event is encoded, while a file is begun, and while one is closed."""
    script = """
import gc
obswriter.configure(batch_size=100, flush_interval_ms=50)
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        put("finaliser")
gc.set_threshold(3)
for number in range(10_000):
    Cycle()
    obswriter.get_writer().record_log(
        Log(level="info", message=f"main {number}", attributes={"list": [[], {}, [{}]]})
    )
    recorded["main"] += 1
gc.collect()
gc.disable()
assert obswriter.shutdown().errors == []
ack(json.dumps(recorded))
"""
    outcome = run(COUNTED + script, tmp_path, PYTHONDEVMODE="")
    assert_each_once(outcome, 20_000)


def test_a_value_that_records_while_it_is_encoded_breaks_nothing(tmp_path: Path) -> None:
    script = """
obswriter.configure(batch_size=10)
class Chatty:
    def __str__(self):
        put("inner")
        return "chatty"
    __repr__ = __str__
for number in range(1000):
    obswriter.get_writer().record_log(
        Log(level="info", message=f"main {number}", attributes={"value": Chatty()})
    )
    recorded["main"] += 1
assert recorded["inner"] >= 1000
assert obswriter.shutdown().errors == []
ack(json.dumps(recorded))
"""
    assert_each_once(run(COUNTED + script, tmp_path), 2000)


LOGGING_STORE = """
from obswriter_logging import ObservabilityHandler
import concurrent.futures

def in_this_thread(log):
    log()

def in_a_thread_of_an_event_loop(log):
    # As fsspec does: the coroutine takes the context along.
    import asyncio
    async def main():
        log()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(main(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

class Talkative(FaultyStorage):
    writes = 0
    def write(self, path, data):
        for text in ("opening a connection", "sending", "sent"):
            WHERE(lambda: logging.getLogger("storage.library").info(text))
        logging.getLogger("storage.library").error("odd", exc_info=ValueError(path))
        Talkative.writes += 1
        super().write(path, data)

logging.basicConfig(level=0, handlers=[ObservabilityHandler()])
for name in ("asyncio", "concurrent.futures"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
store = Talkative(Path(os.environ["OBSWRITER_FILE_STORAGE"]))
obswriter.configure(
    file_storage=store, spool_dir=f"{os.environ['OBSWRITER_FILE_STORAGE']}/spool",
    batch_size=1, flush_interval_ms=0,
)
"""


@pytest.mark.parametrize("where", ["in_this_thread", "in_a_thread_of_an_event_loop"])
def test_what_a_storage_library_logs_while_storing_makes_no_new_events(
    where: str, tmp_path: Path
) -> None:
    script = """
for number in range(50):
    logging.getLogger("application").info("event %d", number)
    ack(f"event {number}")
while obswriter.flush().files_written:
    pass
assert Talkative.writes == 50, Talkative.writes
assert obswriter.get_writer().get_stats().recorded["log"] == 50
logging.getLogger("application").info("while it is shut down")
ack("while it is shut down")
assert obswriter.shutdown().errors == []
assert Talkative.writes == 51
"""
    setup = IMPORTS + LOGGING_STORE.replace("WHERE", where)
    outcome = run(setup + script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert outcome.missing() == set()
    assert outcome.stored().total() == 51


def test_the_writers_own_warnings_about_a_store_make_no_loop(tmp_path: Path) -> None:
    script = """
store.refuse()
logging.getLogger("application").info("event")
ack("event")
for _ in range(5):
    obswriter.flush()
assert obswriter.get_writer().get_stats().recorded["log"] == 1
store.recover()
assert obswriter.shutdown().errors == []
"""
    setup = IMPORTS + LOGGING_STORE.replace("WHERE", "in_this_thread")
    outcome = run(setup + script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stored() == {"event": 1}


def test_a_flush_in_a_signal_handler_waits_for_nobody_who_waits_for_the_handler(
    tmp_path: Path,
) -> None:
    script = """
def interrupt():
    obswriter.flush()  # without a timeout
    recorded["flushes"] += 1

obswriter.configure(flush_interval_ms=0, batch_size=50)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0031)
while recorded["flushes"] < 500:
    put("main")
signal.setitimer(signal.ITIMER_REAL, 0)
del recorded["flushes"]
assert obswriter.flush().errors == []
ack(json.dumps(recorded))
"""
    assert_each_once(run(COUNTED + INTERRUPTED + script, tmp_path), at_least=1000)


@pytest.mark.parametrize("ending", ["KeyboardInterrupt", "SystemExit", "Late"])
def test_a_handler_that_raises_anywhere_leaves_no_file_behind(ending: str, tmp_path: Path) -> None:
    """The thread that records seals and counts files, too; what is begun there is gone on with."""
    script = f"""
class Late(Exception):
    pass

armed, interruptions = False, 0
def handler(*_):
    global armed, interruptions
    if armed:
        armed = False
        interruptions += 1
        raise {ending}
signal.signal(signal.SIGALRM, handler)

writer = obswriter.configure(flush_interval_ms=20, batch_size=3)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0023)
number, acknowledged = 0, []
while interruptions < 400:
    try:
        armed = True
        while True:
            number += 1
            writer.record_log(Log(level="info", message=str(number)))
            acknowledged.append(str(number))
            assert armed, "what the handler raised was swallowed"
    except {ending}:
        pass
armed = False
signal.setitimer(signal.ITIMER_REAL, 0)
writer.record_log(Log(level="info", message="last"))
result = obswriter.flush(30)
assert result.errors == [], result
assert not writer._batcher.carrier.queue
ack(json.dumps(acknowledged + ["last"]))
"""
    outcome = run(COUNTED + script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    stored = outcome.stored()
    assert set(json.loads(outcome.acknowledged[-1])) <= set(stored)
    assert max(stored.values()) == 1
