"""Notes on each log record which trace and span it was made in."""

import logging

from obswriter import context


class TraceContextFilter(logging.Filter):
    """Adds ``trace_id`` and ``span_id`` to records; outside any span they are empty.

    A record that crosses to another thread (``QueueHandler``) needs it to keep its span, and
    other handlers' formats may say ``%(trace_id)s``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids, unless the record has some already; let every record through."""
        if not hasattr(record, "trace_id"):
            span = context.current()
            record.trace_id = "" if span is None else span.trace_id
            record.span_id = "" if span is None else span.id
        return True
