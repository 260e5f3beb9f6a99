"""The handler: never raises, takes no lock, and leaves out what storing events itself logs."""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import obswriter
from obswriter.process import current_writer
from obswriter.storage import is_storing

from .limits import Limits
from .records import wire_of

FLUSH_SECONDS: Final = 5.0

MAX_NESTING: Final = 5
"""Formatting a message may log in turn: a lazy object queries a database. But not for ever."""


class _Nesting(threading.local):
    depth = 0


_nesting = _Nesting()


class ObservabilityHandler(logging.Handler):
    """Records log records as log events of the process-wide writer.

    What a record carries becomes a field or an attribute of its own, so formatters are not used.
    *template*: record also the message before it is formatted, and its arguments.
    *rate_limits*: for loggers by name, with those below them, how many records a second are kept.
    *sample_rates*: likewise, the share of the records below WARNING that are kept; of a trace all
    or none. What is left out is counted as dropped.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        template: bool = False,
        rate_limits: Mapping[str, float] | None = None,
        sample_rates: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(level)
        self._template = template
        limits = Limits(rate_limits, sample_rates)
        self._refuse = limits.refuse if limits else None

    def createLock(self) -> None:  # noqa: N802
        """Have no lock: the writer is safe to use from any thread, and threads don't wait here."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Record *record* unless a filter refuses it; return whether it was recorded."""
        depth = _nesting.depth
        if depth >= MAX_NESTING or is_storing():
            _say_aloud(record)
            if not is_storing():
                current_writer().drop("log", "nested")
            return False
        _nesting.depth = depth + 1
        try:
            kept = self._kept(record) if self.filters else record
            if kept is not None:
                self.emit(kept)
            return kept is not None
        finally:
            _nesting.depth = depth

    def _kept(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return what the filters leave of *record*; since Python 3.12 they may replace it."""
        try:
            passed = self.filter(record)
        except Exception:  # a filter that fails refuses nothing
            return record
        if isinstance(passed, logging.LogRecord):
            return passed
        return record if passed else None

    def emit(self, record: logging.LogRecord) -> None:
        """Record *record*, whatever is wrong with it."""
        writer = current_writer()
        if writer.disabled:
            _say_aloud(record)
            return
        try:
            if self._refuse is not None and (reason := self._refuse(record)):
                writer.drop("log", reason)
                return
            wire = wire_of(record, writer.config.project_id, self._template)
        except Exception:
            _record_plainly(record)
        else:
            writer.append(wire)

    def flush(self) -> None:
        """Store what was recorded, by this handler or otherwise; waits five seconds at most."""
        with suppress(Exception):
            obswriter.flush(0 if _holds_logging_lock() else FLUSH_SECONDS)

    def close(self) -> None:
        """Flush, and forget the handler's name; the writer goes on."""
        self.flush()
        super().close()


def _say_aloud(record: logging.LogRecord) -> None:
    """Print what obswriter warns of, where nobody but this handler would hear it."""
    if record.name != "obswriter" or record.levelno < logging.WARNING or not logging.lastResort:
        return
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if not all(isinstance(handler, ObservabilityHandler) for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    with suppress(Exception):
        logging.lastResort.handle(record)


def _record_plainly(record: logging.LogRecord) -> None:
    """Keep what there is of a record that somebody built wrong."""
    with suppress(Exception):
        fields = dict(vars(record))
        obswriter.log("info", fields.pop("msg", ""), attributes=fields)


def _holds_logging_lock() -> bool:
    """Whether this thread holds logging's own lock, as ``dictConfig()`` does closing old handlers.

    A store that logs for the first time needs that lock: waiting for it would be a deadlock.
    """
    owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return owned is not None and bool(owned())
