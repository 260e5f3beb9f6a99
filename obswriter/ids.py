"""Trace and span ids as W3C Trace Context wants them."""

import mmap
import os
import random
from contextlib import suppress

_random = random.Random()
_span_ids: list[str] = []  # drawn ahead: many at once cost a third of one by one


def _make_mark() -> "mmap.mmap | bytearray":
    """One byte that Linux sets back to 0 in forked children: also in those of C code."""
    with suppress(AttributeError, OSError):
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(18)  # MADV_WIPEONFORK, for which Python has no name
        return page
    return bytearray(1)


_is_seeded = _make_mark()


def reseed_ids() -> None:
    """Draw the random state anew; a forked child must, or it repeats its parent's ids."""
    _random.seed()
    _span_ids.clear()
    _is_seeded[0] = 1


# Not left to the first writer: a server forks its workers before any of them has one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reseed_ids)


def new_trace_id() -> str:
    """Return 32 random lowercase hex digits, never all zero (W3C Trace Context)."""
    return new_span_id() + new_span_id()


def new_span_id() -> str:
    """Return 16 random lowercase hex digits, never all zero (W3C Trace Context)."""
    if not _is_seeded[0]:
        reseed_ids()
    while True:
        try:
            return _span_ids.pop()
        except IndexError:
            _draw_span_ids()


def _draw_span_ids() -> None:
    drawn = _random.randbytes(8 * 256).replace(bytes(8), b"\1" * 8)
    _span_ids.extend(drawn.hex(" ", 8).split())
