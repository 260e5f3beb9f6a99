"""What a worker's processes need: to know their pool, to be flushed, to keep their log handlers."""

import logging
from typing import Any

import obswriter
from obswriter_logging import ObservabilityHandler

from .attributes import never_raising

_noted: list[logging.Handler] = []

pool = ""
"""The kind of pool: ``prefork``, ``solo``, ``thread``, …; children know it from their parent."""


@never_raising
def note_pool(instance: Any, **_: object) -> None:
    """Note what runs the tasks. ``celeryd_after_setup``."""
    global pool
    kind = instance.pool_cls
    pool = kind if isinstance(kind, str) else kind.__module__.rpartition(".")[2]


@never_raising
def flush(**_: object) -> None:
    """Store everything. ``worker_process_shutdown``: a child ends right after it, by
    ``os._exit``; ``worker_shutdown`` for the main process.
    """
    obswriter.flush(obswriter.get_writer().config.shutdown_timeout_ms / 1000)


@never_raising
def note_log_handlers(**_: Any) -> None:
    """Note our handlers before Celery sets logging up. ``celeryd_init``, ``import_modules``."""
    found = [h for h in logging.getLogger().handlers if isinstance(h, ObservabilityHandler)]
    _noted.extend(handler for handler in found if handler not in _noted)


@never_raising
def restore_log_handlers(logger: logging.Logger, **_: object) -> None:
    """Put them back: Celery empties the root logger, and cuts the tasks' own logger off it.

    ``after_setup_logger``, ``after_setup_task_logger``.
    """
    if logger.parent is None or not logger.propagate:
        for handler in _noted:
            if handler not in logger.handlers:
                logger.addHandler(handler)
