"""Exceptions that are not about the call they come out of, and that nobody here may keep."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def pass_on_interruption(error: BaseException) -> None:
    """Raise *error* if a signal handler of the application raised it: Celery's soft limit, say.

    It may strike in any line of Python, ours included, and must reach whoever waits for it.
    """
    step = error.__traceback__
    if step is None or step.tb_next is None:  # raised where it was caught: no handler was called
        return
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {_code(handler) for handler in handlers} - {None}
    while step is not None:
        if step.tb_frame.f_code in codes:
            raise error
        step = step.tb_next


@contextmanager
def tolerated() -> Iterator[None]:
    """Go on after whatever goes wrong within, but for an interruption."""
    try:
        yield
    except Exception as error:
        pass_on_interruption(error)


def _code(handler: object) -> object:
    """What a handler runs: a function, or an object's ``__call__``, as ours are."""
    called = handler if hasattr(handler, "__code__") else vars(type(handler)).get("__call__")
    return getattr(called, "__code__", None)
