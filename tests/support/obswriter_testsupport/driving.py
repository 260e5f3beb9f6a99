"""Starts processes of ``driven_process.py``, tells them what to do, keeps what they acknowledge.

All are forked from one that has imported obswriter and made no writer: starting one more takes
milliseconds. Each is ended by its own id.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obswriter_testsupport import driven_process
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_SECONDS = 30.0


class Driven:
    """One process, and what it has acknowledged: ids of events, and counts of dropped ones."""

    def __init__(self, connection: socket.socket, pid: int, history: list[str]) -> None:
        self.pid = pid
        self.acknowledged: list[str] = []
        self.dropped: Counter[str] = Counter()
        self._history = history
        self._connection = connection
        self._lines = connection.makefile("rb")

    def tell(self, command: str) -> None:
        self._history.append(f"{self.pid}: {command}")
        self._connection.sendall(f"{command}\n".encode())

    def hear(self) -> dict[str, Any] | None:
        """Take one line: the answer to a command, or ``None`` for an acknowledgement."""
        word, _, rest = self._lines.readline().decode().rstrip("\n").partition(" ")
        if word == "ack":
            self.acknowledged.append(rest)
            return None
        assert word == "done", f"process {self.pid} has ended unasked"
        answer: dict[str, Any] = json.loads(rest)
        self._history.append(f"{self.pid} answers {rest}")
        self.dropped = Counter(answer.get("dropped", {}))
        return answer

    def answer(self, within: float = ANSWER_SECONDS) -> dict[str, Any]:
        self._connection.settimeout(within)
        while (found := self.hear()) is None:
            pass
        return found

    def ask(self, command: str) -> dict[str, Any]:
        self.tell(command)
        return self.answer()

    def survives(self) -> bool:
        """Wait until it has answered or is gone; whether it has answered."""
        try:
            self.answer()
        except (AssertionError, ConnectionError):
            self.see_end()
            return False
        return True

    def end_by(self, number: int) -> None:
        """Send it a signal it dies of, and wait until it is gone."""
        self._history.append(f"{self.pid} gets signal {number}")
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.see_end()

    def see_end(self) -> None:
        """Take what it still acknowledges, and wait until its locks went with it."""
        with suppress(ConnectionError):
            for line in self._lines:
                word, _, rest = line.decode().rstrip("\n").partition(" ")
                if word == "ack" and line.endswith(b"\n"):
                    self.acknowledged.append(rest)
        wait_until(lambda: is_gone(self.pid), message=f"process {self.pid} lives")
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it reaped or not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # no /proc; or it ended between the two
        return Path("/proc/self").exists()
    return state in "ZX"


class Nursery:
    """Where driven processes come from. ``history`` is what they were told and answered."""

    def __init__(self, first: Driven, listener: socket.socket, history: list[str]) -> None:
        self.history = history
        self._first = first
        self._listener = listener
        self._living: dict[int, Driven] = {}

    def start(self) -> Driven:
        """Return a new process, which has no writer yet."""
        return self.fork(self._first)

    def fork(self, parent: Driven) -> Driven:
        """Return a new child of *parent*, which goes on, too."""
        parent.ask(f"fork {self._listener.getsockname()}")
        connection, _ = self._listener.accept()
        child = Driven(connection, 0, self.history)
        child.pid = child.answer()["pid"]
        self._living[child.pid] = child
        return child

    def kill_all(self) -> None:
        """End whoever is left."""
        for process in self._living.values():
            if not is_gone(process.pid):
                os.kill(process.pid, signal.SIGKILL)
            process.close()
        for pid in self._living:
            wait_until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]
        self._living.clear()

    def forget(self, process: Driven) -> None:
        """Take note that it has ended: its id may be another's soon."""
        self._living.pop(process.pid, None)


@contextmanager
def nursery(**environ: str) -> Iterator[Nursery]:
    """Provide driven processes until the block ends."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-W", "ignore", "-m", driven_process.__name__]
    folder = str(Path(driven_process.__file__).parent.parent)
    path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    with (
        tempfile.TemporaryDirectory(prefix="obswriter-") as directory,
        socket.socket(socket.AF_UNIX) as listener,
        subprocess.Popen(
            command, stdin=theirs, stdout=theirs, env={**os.environ, "PYTHONPATH": path, **environ}
        ) as process,
    ):
        theirs.close()
        listener.bind(f"{directory}/socket")
        listener.listen()
        listener.settimeout(ANSWER_SECONDS)
        history: list[str] = []
        first = Driven(ours, process.pid, history)
        found = Nursery(first, listener, history)
        try:
            first.answer()
            yield found
        finally:
            found.kill_all()
            process.kill()
            first.close()
