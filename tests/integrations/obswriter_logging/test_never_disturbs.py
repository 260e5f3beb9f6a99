"""ObservabilityHandler never raises, never recurses and never deadlocks."""

from __future__ import annotations

import logging
import logging.config
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter import process
from obswriter.storage import storing
from obswriter_logging import ObservabilityHandler
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("careful")  # noqa: LOG001 - none that other tests share
    logger.addHandler(ObservabilityHandler())
    return logger


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("raise_exceptions", [True, False])
def test_a_message_that_cannot_be_formatted_is_recorded_in_its_parts(
    captured: Captured,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raise_exceptions: bool,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", raise_exceptions)
    logger.info("%d apples", "three")
    event = captured.one("log")
    assert event["message"] == "%d apples"
    assert event["attributes"]["obswriter.log.arguments"] == ["three"]
    assert event["attributes"]["obswriter.log.error"] == "TypeError"
    assert capsys.readouterr().err == ""


def test_hostile_values_are_recorded_as_something(
    captured: Captured, logger: logging.Logger
) -> None:
    logger.info(Hostile())
    logger.info("%s", Hostile(), extra={"value": Hostile()})
    try:
        raise ValueError(Hostile())
    except ValueError:
        logger.exception("failed")
    assert [event["level"] for event in captured.events("log")] == ["info", "info", "error"]


@pytest.mark.parametrize(
    "fields",
    [
        {"levelno": "high"},
        {"created": "yesterday"},
        {"created": float("nan")},
        {"created": 1e300},
        {"exc_info": True},
        {"exc_info": ("a", "b")},
        {"args": 3},
        {"name": None, "pathname": None, "msg": None},
    ],
)
def test_a_record_that_was_built_wrong_is_recorded_anyway(
    captured: Captured, fields: dict[str, Any]
) -> None:
    handler = ObservabilityHandler()
    handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 20, **fields}))
    record = logging.makeLogRecord({"msg": "y", **fields})
    del record.levelno, record.exc_text
    handler.handle(record)
    assert len(captured.events("log")) == 2


def test_a_filter_that_fails_refuses_nothing(captured: Captured, logger: logging.Logger) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise RuntimeError

    logger.handlers[0].addFilter(fail)
    logger.info("x")
    assert captured.one("log")["message"] == "x"


def test_emit_called_directly_raises_no_more_than_handle(
    captured: Captured, logger: logging.Logger
) -> None:
    record = logging.makeLogRecord({"msg": "x"})
    del record.exc_text
    logger.handlers[0].emit(record)
    assert captured.one("log")["message"] == "x"


def test_wrong_options_in_the_environment_do_not_reach_the_application(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "many")
    before = process.exchange(None)
    try:
        logger.info("x")
        assert obswriter.get_writer().disabled
    finally:
        process.exchange(before)


def test_a_message_that_logs_while_it_is_formatted_is_recorded_with_what_it_logs(
    captured: Captured, logger: logging.Logger
) -> None:
    class Lazy:
        def __str__(self) -> str:
            logger.debug("SELECT name")
            return "Ada"

    logger.info("user %s", Lazy())
    assert [e["message"] for e in captured.events("log")] == ["SELECT name", "user Ada"]


def test_a_value_that_logs_itself_comes_to_an_end(
    captured: Captured, logger: logging.Logger
) -> None:
    """getsentry/sentry-python#470: Infinite recursion when capturing event during serialization"""

    class Endless:
        def __str__(self) -> str:
            logger.info("again %s", self)
            return "endless"

        __repr__ = __str__

    logger.info("%s", Endless(), extra={"value": Endless()})
    assert captured.one("log", message="endless")["attributes"]["value"]
    assert captured.writer.get_stats().dropped["log"]["nested"] > 0


def test_records_made_while_storing_are_no_events(
    captured: Captured, logger: logging.Logger
) -> None:
    with storing():
        logger.info("PUT /bucket")
        logging.getLogger("obswriter").warning("the store is slow")
    logger.info("mine")
    assert [event["message"] for event in captured.events("log")] == ["mine"]


class LoggingStore(FaultyStorage):
    """A store that logs what it does, as botocore and urllib3 do."""

    def __init__(self, root: Path, logger: logging.Logger) -> None:
        super().__init__(root)
        self.logger = logger
        self.writes = 0

    def write(self, path: str, data: bytes) -> None:
        self.logger.info("writing %s", path)
        super().write(path, data)
        self.writes += 1


@contextmanager
def writing_to(store: object, spool: Path) -> Iterator[obswriter.ObservabilityWriter]:
    writer = obswriter.ObservabilityWriter(
        file_storage=store, project_id="test", spool_dir=spool, flush_interval_ms=0
    )
    before = process.exchange(writer)
    try:
        yield writer
    finally:
        process.exchange(before)
        writer.shutdown()


def test_a_store_that_logs_makes_no_events_of_itself(
    tmp_path: Path, logger: logging.Logger
) -> None:
    store = LoggingStore(tmp_path / "store", logger)
    with writing_to(store, tmp_path / "spool") as writer:
        logger.info("mine")
        obswriter.flush()
        obswriter.flush()
        assert store.writes == 1
        assert writer.get_stats().recorded["log"] == 1


def test_a_store_that_logs_while_it_is_opened_makes_one_writer(tmp_path: Path) -> None:
    script = """
import logging, fsspec, obswriter, obswriter_logging
from fsspec.implementations.memory import MemoryFileSystem

class Chatty(MemoryFileSystem):
    protocol = "chatty"
    cachable = False
    opened = 0

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        Chatty.opened += 1
        logging.debug("using selector")

fsspec.register_implementation("chatty", Chatty)
logging.basicConfig(level="DEBUG", handlers=[obswriter_logging.ObservabilityHandler()])
logging.debug("the first record makes the writer")
obswriter.flush()
assert Chatty.opened == 1, Chatty.opened
print(obswriter.get_writer().get_stats().total_events_written)
"""
    environ = {
        **os.environ,
        "OBSWRITER_FILE_STORAGE": "chatty://store",
        "OBSWRITER_SPOOL_DIR": str(tmp_path / "spool"),
    }
    outcome = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60
    )
    assert (outcome.stdout.strip(), outcome.stderr) == ("1", "")


def test_closing_old_handlers_in_dictconfig_does_not_wait_for_a_store_that_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test may take: whoever waits for the store here waits for ever.
    monkeypatch.setattr("obswriter_logging.handlers.FLUSH_SECONDS", 1000.0)
    names = count()

    class Store(LoggingStore):
        def write(self, path: str, data: bytes) -> None:
            logging.getLogger(f"store.{next(names)}")  # needs logging's own lock
            super().write(path, data)

    store = Store(tmp_path / "store", logging.getLogger("store"))
    with writing_to(store, tmp_path / "spool"):
        handler = ObservabilityHandler()
        handler.handle(logging.makeLogRecord({"msg": "x"}))
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        wait_until(lambda: store.writes)


def test_a_store_that_hangs_delays_flush_and_close_no_longer_than_their_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    monkeypatch.setattr("obswriter_logging.handlers.FLUSH_SECONDS", 0.01)
    release = threading.Event()

    class Store(LoggingStore):
        def write(self, path: str, data: bytes) -> None:
            release.wait()
            super().write(path, data)

    store = Store(tmp_path / "store", logging.getLogger("store"))
    with writing_to(store, tmp_path / "spool"):
        logger.info("x")
        logger.handlers[0].flush()
        logger.handlers[0].close()
        assert store.writes == 0
        release.set()
        wait_until(lambda: store.writes)


def test_flush_stores_what_was_logged(tmp_path: Path, logger: logging.Logger) -> None:
    store = LoggingStore(tmp_path / "store", logger)
    with writing_to(store, tmp_path / "spool"):
        logger.info("x")
        logger.handlers[0].flush()
        assert store.writes == 1


def test_records_of_the_last_moment_are_on_disk_when_the_interpreter_has_ended(
    tmp_path: Path,
) -> None:
    script = """
import atexit, logging, obswriter_logging
logging.basicConfig(level="INFO", handlers=[obswriter_logging.ObservabilityHandler()])
atexit.register(logging.info, "in atexit")
logging.info("in main")
"""
    environ = {**os.environ, "OBSWRITER_FILE_STORAGE": str(tmp_path)}
    outcome = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    files = tmp_path.glob("observability/log/default/*.jsonl")
    messages = {e["message"] for file in files for e in obswriter.parse_jsonl(file.read_bytes())}
    assert messages == {"in main", "in atexit"}


def test_threads_do_not_wait_for_each_other(captured: Captured, logger: logging.Logger) -> None:
    inside, release = threading.Event(), threading.Event()

    class Slow:
        def __str__(self) -> str:
            inside.set()
            release.wait(30)
            return "slow"

    thread = threading.Thread(target=logger.info, args=("%s", Slow()))
    thread.start()
    assert inside.wait(30)
    logger.info("fast")
    release.set()
    thread.join()
    assert {event["message"] for event in captured.events("log")} == {"fast", "slow"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_logs_although_a_thread_of_its_parent_was_logging(
    tmp_path: Path,
) -> None:
    """python/cpython#81610: Python hangs on fork when a logger is in use in a background thread;
    DataDog/dd-trace-py#18900: avoid fork child periodic thread deadlocks
    """
    script = """
import logging, os, threading, obswriter_logging
logging.basicConfig(level="INFO", handlers=[obswriter_logging.ObservabilityHandler()])
inside, release = threading.Event(), threading.Event()

class Slow:
    def __str__(self):
        inside.set()
        release.wait(30)
        return "slow"

thread = threading.Thread(target=logging.info, args=("%s", Slow()))
thread.start()
inside.wait(30)
pid = os.fork()
if pid == 0:
    logging.info("child")
    raise SystemExit
os.waitpid(pid, 0)
release.set()
thread.join()
"""
    environ = {**os.environ, "OBSWRITER_FILE_STORAGE": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environ, check=True, timeout=60
    )
    files = tmp_path.glob("observability/log/default/*.jsonl")
    messages = sorted(e["message"] for f in files for e in obswriter.parse_jsonl(f.read_bytes()))
    assert messages == ["child", "slow"]


ONLY_HANDLER = """
import logging, obswriter
from obswriter_logging import ObservabilityHandler
logging.basicConfig(handlers=[ObservabilityHandler()], level="INFO")
"""
WARNED = {
    "a wrong option": ("OBSWRITER_BATCH_SIZE", "abc", "records nothing"),
    "a store that refuses": (
        "OBSWRITER_FILE_STORAGE",
        "/proc/none/y",
        "file:///proc/none/y refused a file",
    ),
}


@pytest.mark.parametrize("wrong", WARNED)
def test_what_obswriter_warns_of_is_heard_where_only_this_handler_listens(wrong: str) -> None:
    name, value, said = WARNED[wrong]
    code = ONLY_HANDLER + 'logging.getLogger("app").info("m"); obswriter.flush()'
    environ = {**os.environ, name: value}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert said in done.stderr
    assert done.returncode == 0


def test_what_somebody_else_hears_is_said_once() -> None:
    code = ONLY_HANDLER + (
        'logging.getLogger().addHandler(logging.StreamHandler()); logging.warning("m")'
    )
    environ = {**os.environ, "OBSWRITER_BATCH_SIZE": "abc"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.stderr.count("records nothing") == 1
