"""Exceptions that are not about the call they come out of, and that nobody here may keep."""

import signal


def is_interruption(error: BaseException) -> bool:
    """Whether a signal handler of the application raised it: Celery's soft time limit, say.

    It may strike in any line of Python, ours included, and must reach whoever waits for it.
    """
    step = error.__traceback__
    if step is None or step.tb_next is None:  # raised where it was caught: no handler was called
        return False
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    while step is not None:
        if step.tb_frame.f_code in codes:
            return True
        step = step.tb_next
    return False
