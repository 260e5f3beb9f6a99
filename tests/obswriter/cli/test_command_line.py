"""What all commands have in common: where they look, and how they answer wrong input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import obswriter
from obswriter.process import resolve_config
from obswriter.testing import Captured
from obswriter_testsupport.wait import wait_until

COMMANDS = ("ls", "tail", "trace", "recover", "prune")


def arguments_of(command: str) -> list[str]:
    return [command, *{"trace": ["a"], "prune": ["--older-than", "1d"]}.get(command, [])]


WRONG = [
    (["lss"], "'lss'"),
    ([], "COMMAND"),
    (["tail", "--type", "spam"], "did you mean 'span'"),
    (["tail", "--level", "wran"], "did you mean 'warn'"),
    (["tail", "-n", "-1"], "at least 0"),
    (["tail", "-n", "many"], "'many'"),
    (["ls", "--project", "../etc"], "'../etc'"),
    (["ls", "--base-path", "/abs"], "base_path"),
    (["ls", "--storage", "nonsense://x"], "nonsense"),
    (["ls", "--storage", ""], "file_storage"),
    (["prune", "--older-than", "7"], "such as 7d"),
    (["prune", "--older-than", "-7d"], "argument --older-than"),
    (["prune"], "--older-than"),
    (["trace"], "ID"),
    (["trace", ""], "must not be empty"),
    (["recover", "--forever"], "--forever"),
    (["recover", "--project", "mine"], "--project mine"),
    (["ls", "data/"], "a store is passed as --storage URL"),
    (["prune", "--older-than", "999999w"], "a thousand years; got '999999w'"),
]


@pytest.mark.parametrize(("arguments", "names"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_input_is_one_line_on_stderr_and_status_2(cli, arguments, names) -> None:
    result = cli(*arguments)
    assert (result.status, result.out) == (2, "")
    assert names in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", ["ls", "tail", "trace", "prune"])
def test_a_directory_that_is_not_there_is_wrong_input(cli, tmp_path, command) -> None:
    result = cli(*arguments_of(command), "--storage", tmp_path / "nope")
    assert result.status == 2
    assert "nope" in result.err
    assert "--storage" in result.err


def test_a_wrong_variable_is_named(cli, monkeypatch) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "lots")
    result = cli("ls")
    assert result.status == 2
    assert "OBSWRITER_BATCH_SIZE must be an integer; got 'lots'" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "obswriter", command, "--help"], capture_output=True, text=True
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    by_project = ("--project",) * (command != "recover")  # which adopts whole processes
    for option in ("--storage", "--base-path", "--json", *by_project):
        assert option in shown.stdout


def test_the_version_is_the_packages_own() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "obswriter", "--version"], capture_output=True, text=True
    )
    assert shown.stdout == f"obswriter {obswriter.__version__}\n"


def test_the_current_directory_is_the_default_as_for_a_writer(cli, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = obswriter.ObservabilityWriter(resolve_config({}))
    writer.record_log({"level": "info", "message": "here"})
    writer.shutdown()
    assert "here" in cli("tail").out


def test_variables_say_where_to_look_as_for_a_writer(cli, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OBSWRITER_FILE_STORAGE", str(tmp_path))
    monkeypatch.setenv("OBSWRITER_BASE_PATH", "team/prod")
    monkeypatch.setenv("OBSWRITER_PROJECT_ID", "mine")
    writer = obswriter.ObservabilityWriter()
    writer.record_log({"level": "info", "message": "ours"})
    writer.record_log({"level": "info", "message": "theirs", "project_id": "other"})
    writer.shutdown()
    assert [entry["projectId"] for entry in cli("ls", "--json").json] == ["mine"]
    every = cli("ls", "--json", "--project", "*").json
    assert [entry["projectId"] for entry in every] == ["mine", "other"]
    assert [entry["projectId"] for entry in cli("ls", "--json", "--project", "other").json] == [
        "other"
    ]
    assert "no files of project 'none' in file://" in cli("ls", "--project", "none").err


def test_a_closed_pipe_is_quiet(captured: Captured) -> None:
    for number in range(3000):
        obswriter.log("info", f"message {number} {'x' * 100}")
    captured.writer.flush()
    command = [sys.executable, "-m", "obswriter", "tail", "-n", "3000", "--storage", captured.root]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"message" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_a_full_disk_below_the_output_is_an_error_of_one_line(captured: Captured) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    obswriter.log("info", "something")
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "obswriter", "tail", "--storage", captured.root]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_ctrl_c_is_quiet_and_status_130(start, captured: Captured) -> None:
    obswriter.log("info", "before")
    program = start("-m", "obswriter", "tail", "-f", "--storage", captured.root)
    wait_until(lambda: "before" in program.out)
    os.kill(program.process.pid, signal.SIGINT)
    assert program.process.wait(10) == 130
    assert program.err == ""


def test_output_survives_an_encoding_without_our_characters(captured: Captured) -> None:
    with obswriter.trace("größe") as trace:
        pass
    captured.writer.flush()
    command = [sys.executable, "-m", "obswriter", "trace", trace.trace_id, "--storage"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run([*command, captured.root], capture_output=True, text=True, env=environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "gr" in shown.stdout


def test_commands_need_no_extra_and_load_no_fsspec(captured: Captured) -> None:
    with obswriter.trace("t") as trace:
        obswriter.log("info", "inside")
    captured.writer.flush()
    code = f"""
import sys
for name in ("rich", "fsspec", "starlette", "celery", "uvicorn", "duckdb"):
    sys.modules[name] = None  # importing it fails
from obswriter.cli import main
for words in (["ls"], ["tail"], ["trace", {trace.trace_id!r}], ["recover"],
              ["prune", "--older-than", "1d"]):
    assert main([*words, "--storage", {str(captured.root)!r}]) == 0, words
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "inside" in done.stdout
