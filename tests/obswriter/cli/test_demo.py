"""``demo`` runs a real application, and shows that everything it did is in the files."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from obswriter.cli.demo import children
from obswriter.cli.demo.report import duckdb_query, examine
from obswriter.cli.demo.visitors import VISITS, Visited
from obswriter.cli.place import Place
from obswriter.storage import LocalStorage
from obswriter_testsupport.wait import wait_until

needs_extras = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "celery")),
    reason="needs the extra 'demo'",
)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def place_of(root: Path) -> Place:
    return Place(LocalStorage(root), str(root), "observability", "demo", None)


@needs_extras
def test_everything_that_was_done_is_on_the_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "obswriter", "demo", "--seconds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=100)
    assert (done.returncode, done.stderr) == (0, b"")
    report = orjson.loads(done.stdout)
    assert report["complete"] is True
    assert report["requests"] == report["traces"] >= len(VISITS)
    assert report["tasksPublished"] == report["tasksRun"] >= 1
    assert report["requestsFailed"] == report["errors"] >= 1
    files = tmp_path.glob("observability/trace/demo/*.jsonl")
    ids = {orjson.loads(line)["id"] for file in files for line in file.read_bytes().splitlines()}
    assert len(ids) == report["requests"]
    waiting = tmp_path.glob("observability/.spool/*/*/*/*/*/*.jsonl*")
    assert not any(file.read_bytes().strip(b"\0") for file in waiting)


@needs_extras
def test_traces_files_and_what_to_try_next_are_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "obswriter", "demo", "--seconds", "0", "--storage", "here"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=100, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    across = done.stdout.partition("A request that publishes")[2].partition("A request that")[0]
    for name in ("POST /orders/{order}", "publish send_receipt", "run send_receipt", "receipt of"):
        assert name in across
    failing = done.stdout.partition("A request that fails")[2].partition("A response")[0]
    assert "exception" in failing
    assert "complete: 6 of 6 requests traced" in done.stdout
    [again] = re.findall(r"obswriter (trace .*)", done.stdout)
    shown = subprocess.run(
        [sys.executable, "-m", "obswriter", *again.split()], capture_output=True, text=True
    )
    assert "run send_receipt" in shown.stdout
    duckdb = pytest.importorskip("duckdb")
    [query] = re.findall(r"SELECT .*;", done.stdout)
    rows = duckdb.sql(query).fetchall()
    assert ("run send_receipt", 1, 0) in rows
    assert ("POST /orders/{order}/refund", 1, 1) in rows


@needs_extras
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_no_process_is_left_when_the_demo_is_stopped(start, tmp_path, number, status) -> None:
    # Out of development mode: where Ctrl-C hits connect(), the standard library leaves a socket.
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDEVMODE": ""}
    demo = start("-m", "obswriter", "demo", "--seconds", "90", env=environ, cwd=tmp_path)
    wait_until(lambda: demo.out.count("process ") == 2, 30, message=lambda: demo.err)
    pids = [int(pid) for pid in re.findall(r"process (\d+)", demo.out)]
    assert all(map(is_running, pids))
    os.kill(demo.process.pid, number)
    assert demo.process.wait(40) == status
    assert not any(map(is_running, pids))
    assert demo.err == ""


@needs_extras
def test_the_application_can_be_kept_for_requests_of_ones_own(start, tmp_path) -> None:
    demo = start("-m", "obswriter", "demo", "--seconds", "0", "--keep", "--json", cwd=tmp_path)
    wait_until(lambda: "until Ctrl-C" in demo.err, 30)
    [port] = re.findall(r"127.0.0.1:(\d+)/products", demo.err)
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.sendall(b"GET /products HTTP/1.0\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)
    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(40) == 0
    assert orjson.loads(demo.out)["complete"] is True


@needs_extras
def test_what_a_child_says_is_shown_when_it_does_not_start(cli, tmp_path, monkeypatch) -> None:
    started: list[children.Child] = []
    original = children.Child.__init__

    def note_start(self, *arguments, **options) -> None:
        original(self, *arguments, **options)
        started.append(self)

    monkeypatch.setattr(children.Child, "__init__", note_start)
    monkeypatch.setattr(children, "WORKER", ["no_such_worker"])
    result = cli("demo", "--seconds", "0", "--storage", tmp_path)
    assert result.status == 1
    assert "the worker ended with status 1" in result.err
    assert "No module named no_such_worker" in result.err
    assert len(started) == 2
    assert not any(is_running(child.pid) for child in started)


def test_a_missing_extra_is_named_with_the_remedy(cli, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = cli("demo", "--storage", tmp_path)
    assert (result.status, result.out) == (2, "")
    assert "the demo needs starlette, uvicorn, celery: pip install 'obswriter[demo]'" in result.err


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon"])
def test_seconds_must_be_a_number_that_can_be_waited_for(cli, seconds: str) -> None:
    result = cli("demo", "--seconds", seconds)
    assert result.status == 2
    assert "--seconds: must be a number of at least 0" in result.err


def test_a_request_without_its_trace_makes_the_outcome_incomplete(tmp_path, write_file) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    visited = Visited({"a" * 32: VISITS[0]})
    assert not examine(place_of(tmp_path), visited, began).is_complete
    fields = {"projectId": "demo", "status": "unset", "traceId": "a" * 32}
    write_file(tmp_path, "20260102T000000Z", type="span", spanKind="server", **fields)
    assert not examine(place_of(tmp_path), visited, began).is_complete
    file = write_file(tmp_path, "20260103T000000Z", **{**fields, "type": "trace", "id": "a" * 32})
    assert examine(place_of(tmp_path), visited, began).is_complete
    file.write_bytes(file.read_bytes() + b"{damaged\n")
    assert not examine(place_of(tmp_path), visited, began).is_complete


def test_the_query_quotes_its_path(tmp_path) -> None:
    assert "it''s/observability/span/demo/*.jsonl'" in duckdb_query(place_of(tmp_path / "it's"))
