"""Runs the command as a function or as a program, and makes files for it to read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from obswriter.cli import main
from obswriter_testsupport.processes import end_process


@dataclass
class Result:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.out.encode().split(b"\n")[:-1]]


Cli = Callable[..., Result]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(status, out, err)

    return run


class Program:
    """A running Python program whose output is collected in files."""

    def __init__(self, command: list[str], folder: Path, **options: Any) -> None:
        self._out, self._err = folder / "stdout.txt", folder / "stderr.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, **options)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Program]]:
    """Start ``python *arguments``, ended at the latest with the test."""
    programs: list[Program] = []

    def start_program(*arguments: object, **options: Any) -> Program:
        command = [sys.executable, *map(str, arguments)]
        programs.append(Program(command, tmp_path_factory.mktemp("program"), **options))
        return programs[-1]

    yield start_program
    for program in programs:
        end_process(program.process)
        if program.process.stdin is not None:
            program.process.stdin.close()


@pytest.fixture
def write_file() -> Callable[..., Path]:
    """Write a stored file whose name says when it was begun."""

    def write(root: Path, stamp: str, *, processed: bool = False, **event: Any) -> Path:
        wire = {"type": "log", "id": stamp, "message": "m", "level": "info", **event}
        wire.setdefault("timestamp", "2026-01-01T00:00:00.000000Z")
        wire.setdefault("recordedAt", wire["timestamp"])
        folder = root / "observability" / wire["type"] / wire.get("projectId", "test")
        folder = folder / "processed" if processed else folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{stamp}_00000{abs(hash(stamp)) % 16**7:07x}.jsonl"
        file.write_bytes(orjson.dumps(wire) + b"\n")
        return file

    return write
