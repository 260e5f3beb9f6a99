"""Python's logging, recorded: every log record becomes a log event of the current trace and span.

logging.config.dictConfig({
    "version": 1,
    "handlers": {"obswriter": {"class": "obswriter_logging.ObservabilityHandler"}},
    "root": {"handlers": ["obswriter"], "level": "INFO"},
})
"""

from .capture import (
    capture_asyncio_exceptions,
    capture_thread_exceptions,
    capture_uncaught_exceptions,
    capture_warnings,
)
from .filters import TraceContextFilter
from .handlers import ObservabilityHandler

__all__ = [
    "ObservabilityHandler",
    "TraceContextFilter",
    "capture_asyncio_exceptions",
    "capture_thread_exceptions",
    "capture_uncaught_exceptions",
    "capture_warnings",
]
