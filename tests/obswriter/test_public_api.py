"""What `import obswriter` gives, and that importing it changes nothing in the process."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import obswriter

CONTRACT = """
    ObservabilityWriter ObservabilityWriterConfig EventBatcher
    serialize_event serialize_events estimate_event_size parse_jsonl
    generate_file_path generate_directory_path parse_file_path is_pending_file
    get_processed_file_path ParsedPath
    Trace Span SpanEvent Log Metric Score FileStorage FileInfo FlushResult FlushError WriterStats
    WriterShutdownError
    trace span log metric score configure get_writer flush shutdown
""".split()


def in_a_fresh_interpreter(code: str, **options: Any) -> str:
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def test_all_is_sorted_and_complete() -> None:
    assert obswriter.__all__ == sorted(obswriter.__all__)
    assert len(set(obswriter.__all__)) == len(obswriter.__all__)
    public = {
        name
        for name, value in vars(obswriter.api).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(obswriter.__all__)


def test_everything_the_contract_names_is_there() -> None:
    assert set(CONTRACT) <= set(obswriter.__all__)


@pytest.mark.parametrize(
    "name",
    [
        *("record_trace", "record_span", "record_log", "record_metric", "record_score"),
        *("record_events", "flush", "shutdown", "aflush", "ashutdown", "get_stats"),
    ],
)
def test_a_writer_has_the_contracts_methods(name: str) -> None:
    assert inspect.isfunction(getattr(obswriter.ObservabilityWriter, name))


@pytest.mark.parametrize("name", ["is_shutdown", "project_id"])
def test_a_writer_has_the_contracts_properties(name: str) -> None:
    assert isinstance(vars(obswriter.ObservabilityWriter)[name], property)


@pytest.mark.parametrize("name", obswriter.__all__)
def test_whatever_is_public_says_what_it_is_for(name: str) -> None:
    value = getattr(obswriter, name)
    if callable(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}("), "that is dataclass's own"


def test_a_version_is_told() -> None:
    assert obswriter.__version__.split(".")[0].isdigit()


def test_importing_loads_nothing_large() -> None:
    code = """
import sys, obswriter, obswriter.propagation, obswriter.testing, obswriter.storage
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    loaded = set(in_a_fresh_interpreter(code).split())
    assert "obswriter" in loaded
    assert not loaded & {
        "aiohttp", "asyncio", "botocore", "celery", "clickhouse_connect", "contextvars_extras",
        "django", "duckdb", "fsspec", "gcsfs", "multiprocessing", "numpy", "requests", "rich",
        "s3fs", "sqlite3", "starlette", "urllib3",
    }  # fmt: skip


def test_recording_into_a_directory_needs_no_fsspec(tmp_path: Path) -> None:
    code = f"""
import sys, obswriter
obswriter.configure(file_storage={str(tmp_path)!r}, project_id="p")
with obswriter.span("s"):
    obswriter.log("info", "m")
assert not obswriter.flush().errors
assert "fsspec" not in sys.modules
"""
    in_a_fresh_interpreter(code)
    assert len(list(tmp_path.glob("observability/*/p/*.jsonl"))) == 3


def test_importing_changes_nothing_in_the_process(tmp_path: Path) -> None:
    code = """
import atexit, logging, signal, sys, threading, warnings

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    root = logging.getLogger()
    return (
        threading.enumerate(), handlers, signal.getitimer(signal.ITIMER_REAL),
        root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook,
        sys.stdout, sys.stderr, warnings.filters[:], sys.getswitchinterval(), sys.meta_path[:],
        atexit._ncallbacks(),
    )

import concurrent.futures, logging.handlers, weakref  # whatever these do is not ours
before = state()
import obswriter, obswriter.testing
assert state() == before, (state(), before)
"""
    home = tmp_path / "home"
    home.mkdir()
    environ = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    in_a_fresh_interpreter(code, cwd=home, env=environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    assert list(home.iterdir()) == []


def test_saying_something_before_configuring_writes_to_the_working_directory(
    tmp_path: Path,
) -> None:
    in_a_fresh_interpreter("import obswriter; obswriter.log('info', 'm')", cwd=tmp_path)
    assert len(list(tmp_path.glob("observability/log/default/*.jsonl"))) == 1


def test_importing_a_module_alone_works() -> None:
    package = Path(obswriter.__file__).parent
    names = [file.stem for file in package.glob("*.py") if not file.stem.startswith("__")]
    assert "serializer" in names
    code = "import importlib, sys\n" + "".join(
        f"importlib.import_module('obswriter.{name}')\n" for name in sorted(names)
    )
    in_a_fresh_interpreter(code)


def test_once_there_is_a_writer_recording_imports_nothing(tmp_path: Path) -> None:
    """A fork while another thread imports something leaves the child with a lock that nobody
    releases: whoever imports the same there waits for ever."""
    code = """
import logging, sys
import obswriter
from obswriter_logging import ObservabilityHandler

obswriter.configure(file_storage=sys.argv[1], project_id="p")
before = set(sys.modules)
for kind in ("info", "odd"):
    obswriter.log(kind, "x", attributes={"object": object(), "url": "http://x/?token=1"})
obswriter.metric("m", 1)
obswriter.score("s", 1)
ObservabilityHandler().handle(logging.makeLogRecord({"msg": "x", "levelno": 20}))
try:
    with obswriter.trace("t", input=1), obswriter.span("s"):
        raise ValueError
except ValueError:
    pass
obswriter.flush()
obswriter.get_writer().get_stats()
print(*sorted(set(sys.modules) - before))
"""
    child = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
