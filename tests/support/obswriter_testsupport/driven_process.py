"""A process that records, forks and ends as it is told, by one command a line on standard input.

    configure JSON                 make the process-wide writer, or replace it
    record TYPE NAME FIRST COUNT   say ``ack ID`` for each event once ``record_*`` has returned
    flush SECONDS                  and likewise ``close SECONDS``
    fork SOCKET                    a child goes on, and obeys whoever listens there
    exit STATUS                    an ordinary exit; ``die STATUS`` is ``os._exit``
    become USER                    by number; only root can
    adopt JSON                     as the next start does; ``_adopt`` says what may go wrong
    summary

Each command is answered by ``done JSON``: what it returned, and the counts of every writer so far.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obswriter
from obswriter.adoption import adopt
from obswriter_testsupport.stores import FaultyStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ControlledStorage(FaultyStorage):
    """A store that is not local, and does what the word in its control file says.

    ``accept``, ``refuse``, ``hang`` until there is another word, or ``commit and fail``.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.destination = f"controlled:{root}"
        self.control = control_file(root)
        self.fault = self._before
        self.after = self._after

    def _word(self) -> str:
        return self.control.read_text() if self.control.exists() else "accept"

    def _before(self, path: str) -> None:
        while (word := self._word()) == "hang":
            self.hanging.set()
            time.sleep(0.01)
        if word == "refuse":
            raise OSError("the store refuses")

    def _after(self, path: str) -> None:
        if self._word() == "commit and fail":
            raise OSError("the connection was lost after the last byte")

    def exists(self, path: str) -> bool:
        self._before(path)
        return super().exists(path)


def control_file(root: Path) -> Path:
    """Where the store below *root* looks for its word."""
    return root.with_name(f"{root.name}.control")


_writers: list[obswriter.ObservabilityWriter] = []


def _writer() -> obswriter.ObservabilityWriter:
    writer = obswriter.get_writer()
    if not any(known is writer for known in _writers):
        _writers.append(writer)
    return writer


def _configure(text: str) -> dict[str, Any]:
    options = json.loads(text)
    controlled = options.pop("controlled", None)
    if controlled is not None:
        options["file_storage"] = ControlledStorage(Path(controlled))
    obswriter.configure(replace=True, **options)
    return {"closed": _writer().is_shutdown}


def _record(text: str) -> dict[str, Any]:
    type, name, first, count = text.split()
    writer = _writer()
    record = {"log": writer.record_log, "score": writer.record_score}[type]
    for number in range(int(first), int(first) + int(count)):
        id = f"{name}-{number}"
        record(_event(type, id))
        _say(f"ack {id}")
    return {}


def _event(type: str, id: str) -> dict[str, Any]:
    if type == "log":
        return {"id": id, "level": "info", "message": f"message {id}"}
    return {"id": id, "name": "quality", "value": 0.5, "comment": f"comment {id}"}


def _flush(seconds: str) -> dict[str, Any]:
    return _result(obswriter.flush(float(seconds)))


def _close(seconds: str) -> dict[str, Any]:
    return _result(obswriter.shutdown(float(seconds)))


def _result(result: obswriter.FlushResult) -> dict[str, Any]:
    return {"events": result.events_written, "errors": [repr(e.error) for e in result.errors]}


def _fork(path: str) -> dict[str, Any]:
    if os.fork() == 0:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
    return {"pid": os.getpid()}


def _become(user: str) -> dict[str, Any]:
    # Imported late by others; the user might not be allowed to read them.
    import concurrent.futures.thread  # noqa: F401
    import urllib.parse  # noqa: F401

    from obswriter import context

    context.load()
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
    return {}


def _adopt(text: str) -> dict[str, Any]:
    """Adopt from ``family`` into the store at ``root``, which may be a ``controlled`` one.

    ``begin``: a file to wait for. ``locks``: false where those of other machines are not seen.
    ``die_at``: be killed before so many-th step that touches the disk.
    """
    wish = json.loads(text)
    root = Path(wish["root"])
    storage = ControlledStorage(root) if wish.get("controlled") else obswriter.LocalStorage(root)
    if not wish.get("locks", True):
        fcntl.flock = lambda fd, operation: None
    if "die_at" in wish:
        _die_at(wish["die_at"])
    while "begin" in wish and not os.path.exists(wish["begin"]):
        os.sched_yield()
    return dataclasses.asdict(adopt(wish["family"], storage, "observability"))


_STEPS = ("open", "fcntl.flock", *(f"os.{name}" for name in "mkdir rename remove rmdir".split()))


def _die_at(step: int) -> None:
    left = step

    def see(event: str, _: Any) -> None:
        nonlocal left
        left -= event in _STEPS
        if event in _STEPS and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(see)


def _summary(_: str) -> dict[str, Any]:
    return {"recovered": sum(writer.get_stats().recovered for writer in _writers)}


def _die(status: str) -> dict[str, Any]:
    os._exit(int(status))


_COMMANDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "configure": _configure,
    "record": _record,
    "flush": _flush,
    "close": _close,
    "fork": _fork,
    "become": _become,
    "adopt": _adopt,
    "exit": lambda status: sys.exit(int(status)),
    "die": _die,
    "summary": _summary,
}


def _counts() -> dict[str, Any]:
    """What was dropped, by type; and whether the books balance."""
    dropped: Counter[str] = Counter()
    balanced = True
    for writer in _writers:
        stats = writer.get_stats()
        for type, recorded in stats.recorded.items():
            lost = sum(stats.dropped[type].values())
            kept = stats.written[type] + stats.buffers_by_type[type] + stats.in_flight[type]
            balanced = balanced and recorded == kept + lost
            dropped[type] += lost
    return {"dropped": dropped, "balanced": balanced}


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _commands() -> Iterator[str]:
    """Yield each line; not buffered beyond it, for a fork changes who is listened to."""
    line = b""
    while piece := os.read(0, 1):
        if piece == b"\n":
            yield line.decode()
            line = b""
        else:
            line += piece
    os._exit(1)  # whoever drives us is gone


def main() -> None:
    """Obey until told to end, or until nobody is there to tell."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child stays a zombie
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _say("done {}")
    for line in _commands():
        word, _, rest = line.partition(" ")
        try:
            answer = _COMMANDS[word](rest)
        except obswriter.WriterShutdownError as error:
            answer = {"refused": str(error)}
        _say(f"done {json.dumps({**answer, **_counts()})}")


if __name__ == "__main__":
    main()
