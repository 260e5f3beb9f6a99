"""gunicorn: its workers, with and without --preload; what ends one worker while others live on."""

from __future__ import annotations

import http.client
import importlib.util
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.processes import free_port
from obswriter_testsupport.visiting import (
    ASGI,
    CONFIGURED,
    PYTHON,
    WSGI,
    End,
    Site,
    ask,
    end_under_load,
    send,
)

UVICORN_WORKERS = ("uvicorn_worker", "uvicorn.workers")


def find_uvicorn_worker() -> str:
    """Return the worker class: of a package of its own, or of uvicorn's older versions."""
    for module in UVICORN_WORKERS:
        with suppress(ModuleNotFoundError):
            if importlib.util.find_spec(module) is not None:
                return f"{module}.UvicornWorker"
    raise AssertionError("there is no worker class of uvicorn's for gunicorn")


def serve(
    end: End, options: tuple[str, ...], folder: Path, *, at_once: bool = True, **environ: str
) -> Outcome:
    port = free_port()
    address = ["--bind", f"127.0.0.1:{port}", "--workers", "2"]
    command = [PYTHON, "-m", "gunicorn", "app:application", *address, *options]
    application = WSGI + CONFIGURED
    if "uvicorn" in options:
        command = [find_uvicorn_worker() if word == "uvicorn" else word for word in command]
        application = ASGI + CONFIGURED
    return end_under_load(
        folder,
        application,
        command,
        port,
        end,
        status=0,
        workers=2,
        at_once=at_once,
        **environ,
    )


def use_up_workers(running: Site) -> None:
    """Wait until workers have ended, having answered as many requests as they may."""
    running.wait_for_processes(4)
    running.process.terminate()


def hang(running: Site) -> None:
    """Have one worker hang in a request; when gunicorn has put another in its place, end all."""
    with suppress(OSError, http.client.HTTPException):
        ask(running.port, "/hang", timeout=30)  # until its worker is gone
    running.wait_for_processes(3)
    running.process.terminate()


terminate = send(signal.SIGTERM)


def _worker(kind: str, *options: str) -> Row:
    name = ", ".join([f"{kind} worker", *options])
    needs = ("gunicorn", *(["|".join(UVICORN_WORKERS)] if kind == "uvicorn" else []))
    threads = ("--threads", "3") if kind == "gthread" else ()
    words = ("--worker-class", kind, *threads, *options)
    return Row("gunicorn", name, partial(serve, terminate, words), True, needs)


def _timeout(name: str, kind: str) -> Row:
    run = partial(serve, hang, ("--timeout", "1"), at_once=False, HANG=kind)
    return Row("gunicorn", f"worker timeout, {name}", run, False, ("gunicorn",))


ROWS = [
    _worker("sync"),
    _worker("sync", "--preload"),
    _worker("gthread"),
    _worker("gthread", "--preload"),
    _worker("uvicorn"),
    _worker("uvicorn", "--preload"),
    Row(
        "gunicorn",
        "--max-requests",
        partial(serve, use_up_workers, ("--max-requests", "20")),
        True,
        ("gunicorn",),
    ),
    _timeout("SIGABRT", "heeding"),
    _timeout("SIGKILL", "deaf"),
]
