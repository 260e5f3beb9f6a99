"""The same commands on an object store."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import obswriter
from obswriter_testsupport.processes import free_port


@pytest.fixture
def url(s3_server, monkeypatch, request) -> str:
    s3_server.set_environ(monkeypatch)
    url = s3_server.url(request.node.name)
    writer = obswriter.ObservabilityWriter(file_storage=url, project_id="test", flush_interval_ms=0)
    writer.record_trace({"id": "abc", "name": "t", "start_time": 0, "end_time": 1})
    writer.record_log({"level": "info", "message": "stored", "trace_id": "abc"})
    writer.shutdown()
    return url


def test_files_are_listed_read_and_deleted(cli, url: str) -> None:
    where = ("--json", "--storage", url)
    assert [entry["type"] for entry in cli("ls", *where).json] == ["log", "trace"]
    assert {event["type"] for event in cli("tail", *where).json} == {"log", "trace"}
    assert len(cli("trace", "ab", *where).json) == 2
    assert len(cli("prune", "--older-than", "0s", "--yes", *where).json) == 2
    assert cli("ls", *where).out == ""


def test_the_program_ends_without_complaints(url: str) -> None:
    command = [sys.executable, "-m", "obswriter", "tail", "--storage", url]
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDEVMODE"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stored" in done.stdout


def test_a_bucket_that_is_not_there_has_no_files(cli, s3_server, monkeypatch) -> None:
    s3_server.set_environ(monkeypatch)
    result = cli("ls", "--storage", "s3://no-such-bucket/x")
    assert (result.status, result.out) == (0, "")
    assert "no files in s3://no-such-bucket/x" in result.err


def test_a_store_that_does_not_answer_is_one_line() -> None:
    pytest.importorskip("s3fs")
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDEVMODE"}
    environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://localhost:{free_port()}",
        "AWS_MAX_ATTEMPTS": "1",
    }
    command = [sys.executable, "-m", "obswriter", "tail", "--storage", "s3://bucket/x"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("obswriter tail: ")
