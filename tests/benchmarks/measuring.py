"""Measures sides in fresh processes, taking turns, so that all see the same machine."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

CHILD = Path(__file__).with_name("child.py")
WARM_UP_REQUESTS = 300
_SLOWER = ("PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "PYTHONMALLOC", "PYTHONWARNINGS")


class SkippedError(Exception):
    """Something a side needs is not installed."""


def run_child(what: str, name: str, count: int, scratch: str) -> float:
    """Return the CPU seconds, or the MiB, that one side needs."""
    folder = mkdtemp(dir=scratch)
    command = [sys.executable, str(CHILD), what, name, str(count), folder]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(scratch))
    _empty(folder)
    if done.returncode:
        raise RuntimeError(f"{name}, {count} times, failed:\n{done.stderr}")
    result = json.loads(done.stdout)
    if "skipped" in result:
        raise SkippedError(result["skipped"])
    return float(result["value"])


def cpu_of_python(code: str, scratch: str) -> float:
    """Return the CPU seconds of an interpreter that runs *code*, from its start to its end."""
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=_environment(scratch), stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    said = child.stderr.read()
    child.stderr.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if b"ModuleNotFoundError" in said:
        raise SkippedError(said.decode().strip().splitlines()[-1])
    if child.returncode:
        raise RuntimeError(f"{code!r} failed:\n{said.decode()}")
    return usage.ru_utime + usage.ru_stime


def cpu_of_server(watched: bool, rounds: int, count: int, scratch: str) -> float:
    """Return the CPU seconds that a real server needs for so many requests, by its own account."""
    folder = mkdtemp(dir=scratch)
    program = str(CHILD.with_name("server.py"))
    command = [sys.executable, program, str(int(watched)), str(rounds), folder]
    environ = _environment(scratch)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert server.stdout is not None
    with server, server.stdout as said:
        try:
            first = json.loads(said.readline() or '{"skipped": "the server ended"}')
            if "skipped" in first:
                raise SkippedError(first["skipped"])
            ask = partial(_ask, first["port"])
            ask(WARM_UP_REQUESTS)
            before = ask(1)
            return ask(count) - before
        finally:
            server.terminate()


def _ask(port: int, count: int) -> float:
    """Make so many requests on one connection; return what the last one's answer says."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for _ in range(count):
            connection.request("GET", "/orders/7")
            answer = connection.getresponse().read()
    return float(answer)


def seconds_beyond(what: str, timeout: float, scratch: str) -> float:
    """Return by how many seconds one of ``waits.py``'s waits outlasts its timeout."""
    folder = mkdtemp(dir=scratch)
    command = [sys.executable, str(CHILD.with_name("waits.py")), what, str(timeout), folder]
    environ = _environment(scratch)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environ, check=True)
    said = float(done.stdout)
    return time.time() - said - timeout if what == "exit" else said


def take_turns(sides: Sequence[Callable[[], float]], repetitions: int) -> list[list[float]]:
    """Measure all sides once, then all again: one list of their values for each repetition."""
    return [[side() for side in sides] for _ in range(repetitions)]


def medians(repetitions: list[list[float]]) -> list[float]:
    """Return each side's median."""
    return [median(values) for values in zip(*repetitions, strict=True)]


def _environment(scratch: str) -> dict[str, str]:
    """The caller's, but without options for either side, and with bytecode kept for both.

    Installed packages come with theirs; a checkout may never have been allowed to write any.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OBSWRITER_", "OTEL_")) and name not in _SLOWER
    }
    return {**kept, "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode"}


def _empty(folder: str) -> None:
    """Give the space back and leave the files: who creates files where many were just deleted,
    pays for that on ext4."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
