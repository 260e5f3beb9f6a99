"""Warnings and uncaught exceptions as log events, each by one call; each call returns its undo.

What was shown or printed before is shown and printed still.
"""

import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import obswriter
from obswriter.lenient import as_text, exception_attributes, type_name
from obswriter.storage import storing

if TYPE_CHECKING:
    import asyncio

Undo = Callable[[], None]


def capture_warnings() -> Undo:
    """Record what ``warnings.warn`` shows, at level ``warn``, of the logger ``py.warnings``."""
    before = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any
    ) -> None:
        attributes = {
            "logger.name": "py.warnings",
            "code.file.path": filename,
            "code.line.number": lineno,
            "obswriter.warning.category": category.__name__,
        }
        obswriter.log("warn", _text(message), attributes=attributes)
        with storing():  # logging.captureWarnings() may be on, too
            before(message, category, filename, lineno, *rest)

    return _replace(warnings, "showwarning", show)


def capture_uncaught_exceptions() -> Undo:
    """Record the exception that ends the process, at level ``fatal``; Ctrl-C is none."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            _record("fatal", error, {})
        before(kind, error, trace)

    return _replace(sys, "excepthook", hook)


def capture_thread_exceptions() -> Undo:
    """Record the exceptions that end threads, at level ``error``."""
    before = threading.excepthook

    def hook(args: Any) -> None:
        name = getattr(args.thread, "name", None)
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            _record("error", args.exc_value, {"thread.name": name} if name else {})
        before(args)

    return _replace(threading, "excepthook", hook)


def capture_asyncio_exceptions(loop: "asyncio.AbstractEventLoop | None" = None) -> Undo:
    """Record what *loop*, else the running one, reports: exceptions of tasks nobody waited for."""
    import asyncio

    loop = loop or asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handler(loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
        error, task = details.get("exception"), details.get("task") or details.get("future")
        name = task.get_name() if isinstance(task, asyncio.Task) else None
        attributes = {"obswriter.task.name": name} if name else {}
        if error is not None:
            _record("error", error, attributes)
        else:
            obswriter.log("error", _text(details.get("message")), attributes=attributes)
        with storing():  # the loop logs it, too
            if before is not None:
                before(loop, details)
            else:
                loop.default_exception_handler(details)

    def undo() -> None:
        if loop.get_exception_handler() is handler:
            loop.set_exception_handler(before)

    loop.set_exception_handler(handler)
    return undo


def _text(message: object) -> str:
    try:
        return str(message)
    except Exception:
        return as_text(message)


def _record(level: Any, error: BaseException, attributes: dict[str, Any]) -> None:
    told = exception_attributes(error)
    message = f"{type_name(error)}: {told['exception.message']}"
    obswriter.log(level, message, attributes={**attributes, **told})


def _replace(module: Any, name: str, hook: Callable[..., None]) -> Undo:
    before = getattr(module, name)
    setattr(module, name, hook)

    def undo() -> None:
        if getattr(module, name) is hook:  # else somebody has come after us, and calls us
            setattr(module, name, before)

    return undo
