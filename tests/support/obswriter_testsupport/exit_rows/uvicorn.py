"""uvicorn: alone, with several workers, and reloading."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.processes import free_port
from obswriter_testsupport.visiting import (
    ASGI,
    CONFIGURED,
    PYTHON,
    End,
    Site,
    end_under_load,
    reload,
    send,
)


def serve(end: End, status: int, options: tuple[str, ...], at_once: bool, folder: Path) -> Outcome:
    port = free_port()
    command = [PYTHON, "-m", "uvicorn", "app:application", "--port", str(port), *options]
    return end_under_load(
        folder,
        ASGI + CONFIGURED,
        command,
        port,
        end,
        status=status,
        workers=2 if "--workers" in options else 1,
        at_once=at_once,
    )


def reload_and_end(running: Site) -> None:
    reload(running)
    running.process.terminate()


def _row(name: str, end: End, status: int, *options: str, at_once: bool = True) -> Row:
    run = partial(serve, end, status, options, at_once)
    return Row("uvicorn", name, run, at_once, ("uvicorn",))


ROWS = [
    _row("SIGINT", send(signal.SIGINT), 0),
    # As soon as it has stopped, it sends itself what it was sent.
    _row("SIGTERM", send(signal.SIGTERM), -signal.SIGTERM),
    _row("--workers 2, SIGTERM", send(signal.SIGTERM), 0, "--workers", "2"),
    _row("--reload", reload_and_end, 0, "--reload", at_once=False),
]
