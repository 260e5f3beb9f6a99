"""Runs a process that records and acknowledges, ends it, and compares the two sets of events.

The child acknowledges by a line on its standard output once ``record_*`` has returned: what was
acknowledged is kept outside the process, and nothing of it may be missing on disk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from obswriter import parse_jsonl
from obswriter.cli.rights import adopt_as_owner
from obswriter.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRELUDE = """
import os, signal, sys, threading, time
import obswriter
from obswriter import Log

OUT = os.dup(1)

# Whoever started the tests may ignore them (nohup, a shell's background job).
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_DFL)

def doze():
    time.sleep(0.05)  # signal.pause() would sleep through a signal that came just before it

def ack(text):
    os.write(OUT, (text + "\\n").encode())

def record(text):
    obswriter.get_writer().record_log(Log(level="info", message=text))
    ack(text)
"""


@dataclass
class Outcome:
    """What one run acknowledged and what of it is on disk."""

    root: Path
    status: int
    acknowledged: list[str]
    stderr: str
    extra: dict[str, Any] = field(default_factory=dict)

    def stored(self) -> Counter[str]:
        """Count the messages in stored files."""
        return Counter(event["message"] for event in stored_events(self.root, "log"))

    def recover(self) -> None:
        """Do what the next start does, and as root for every user."""
        for family in (self.root / "observability" / ".spool").glob("*/*"):
            found = adopt_as_owner(str(family), LocalStorage(self.root), "observability")
            assert found.errors == []

    def missing(self) -> set[str]:
        """Return what was acknowledged and is not stored."""
        return set(self.acknowledged) - set(self.stored())

    def duplicated(self) -> list[str]:
        """Return what is stored more than once."""
        return [message for message, count in self.stored().items() if count > 1]


def stored_events(root: Path, type: str = "*") -> list[dict[str, Any]]:
    """Read every stored event below *root*."""
    files = sorted(root.glob(f"observability/{type}/*/*.jsonl"), key=lambda path: path.name)
    return [event for path in files for event in parse_jsonl(path.read_bytes())]


def start(
    script: str, root: Path, stderr: IO[str] | int | None = None, **environ: str
) -> subprocess.Popen[str]:
    """Start a Python process that records into *root*."""
    import os

    settings = {"OBSWRITER_FILE_STORAGE": str(root), "OBSWRITER_FLUSH_INTERVAL_MS": "60000"}
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **settings, **environ},
    )


def run(
    script: str,
    root: Path,
    end: Callable[[subprocess.Popen[str]], None] | None = None,
    **environ: str,
) -> Outcome:
    """Run *script* to its end, calling *end* when it says ``READY``."""
    # A file: a pipe that nobody reads yet would fill up and stop the process.
    with tempfile.TemporaryFile("w+") as stderr:
        process = start(script, root, stderr, **environ)
        acknowledged = []
        with process:
            try:
                for line in process.stdout or ():
                    text = line.rstrip("\n")
                    if text != "READY":
                        acknowledged.append(text)
                    elif end is not None:
                        end(process)
            except BaseException:  # such as the test's timeout, which the process may not know of
                process.kill()
                raise
        stderr.seek(0)
        return Outcome(root, process.returncode, acknowledged, stderr.read())
