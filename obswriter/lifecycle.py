"""Fork, signals and exit: what happens to living writers when a process splits or ends.

Nothing here is installed before the first writer is made.
"""

import atexit
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any

from .spool_directory import forget_locks

if TYPE_CHECKING:
    from .batcher import EventBatcher

_SIGNALS = [getattr(signal, n) for n in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, n)]

generation = 0
"""Grows in each forked child: only the process that began a span records it."""


# One that nobody else refers to any more is kept by its thread, until it is shut down.
_batchers: "weakref.WeakSet[EventBatcher]" = weakref.WeakSet()
_forked = False  # and signal handlers not yet looked after
_forking_aside = _forked_aside = False  # in a thread that is not its process's main one
_waited = 0.0  # seconds that we have held up the interpreter's exit


def watch(batcher: "EventBatcher") -> None:
    """Flush *batcher* at exit and at signals, and renew it in forked children."""
    _batchers.add(batcher)
    _install_hooks()
    _install_signal_handlers()


def renew_signal_handlers() -> None:
    """In a forked child, go before the handlers that its server has set since the fork."""
    global _forked
    if _forked and threading.current_thread() is threading.main_thread():
        _forked = False
        _install_signal_handlers()


def is_left_behind() -> bool:
    """Whether only our own threads keep this process alive.

    The child of a thread that is not the main one ends without Python's exit, where the last of
    its threads does.
    """
    return _forked_aside and not threading.main_thread().is_alive()


def _before_fork() -> None:
    global _forking_aside
    _forking_aside = threading.current_thread() is not threading.main_thread()


def _after_fork_in_child() -> None:
    global generation, _forked, _forked_aside
    generation += 1
    _forked = True
    _forked_aside = _forked_aside or _forking_aside
    forget_locks()
    for batcher in list(_batchers):
        batcher.abandon()


@cache
def _install_hooks() -> None:
    """Have ours called after a fork, before the interpreter ends its threads, and at its end.

    Uploads need threads (resolving a host name, for one), and atexit is too late for those.
    concurrent.futures uses the same hook of `threading`; the last one registered runs first,
    so its module is loaded before. It is also the only hook multiprocessing's children run.
    """
    import concurrent.futures.thread  # noqa: F401

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
    with suppress(AttributeError, RuntimeError):  # the interpreter is on its way out
        threading._register_atexit(_at_exit, threads_run=True)  # type: ignore[attr-defined]
    atexit.register(_at_exit, threads_run=False)


def _at_exit(*, threads_run: bool) -> None:
    global _waited
    for batcher in list(_batchers):
        began = time.monotonic()
        batcher.end(max(0.0, batcher.patience - _waited), threads_run=threads_run)
        _waited += time.monotonic() - began


def _install_signal_handlers() -> None:
    """Chain ours before the handler there is; what is ignored, or not Python's, is left alone.

    So is Python's own for SIGINT: it ends in an ordinary exit, which flushes, and asyncio
    cancels its main task only where it finds that very handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    left_alone = (None, signal.SIG_IGN, signal.default_int_handler)
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if before not in left_alone and not isinstance(before, _Handler):
            with suppress(ValueError):  # a sub-interpreter has no signals
                signal.signal(number, _Handler(before))


@contextmanager
def signals_left_to_others() -> Iterator[None]:
    """Have a thread that is started within take none of the process's signals.

    An application blocks a signal in its own thread, and counts on not being interrupted: Celery's
    children do so while they hold a lock.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    own = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - own)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Handler:
    """Flushes, and does what was done before. Each knows its own, so that no chain is a loop."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for batcher in list(_batchers):
            with suppress(Exception):
                batcher.flush(batcher.patience)
        if callable(self._before):
            self._before(number, frame)
            return
        # The exit status must be the signal's own. As process 1 the kernel ignores this, and the
        # application goes on: so do we.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self)
