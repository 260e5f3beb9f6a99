"""The one process-wide writer, which the application and all adapters share."""

import logging
import os
import threading
from contextlib import suppress
from typing import Any

from .config import OPTIONS, ObservabilityWriterConfig, Options
from .exceptions import AlreadyConfiguredError
from .redaction import without_credentials
from .results import FlushResult
from .storage import storing
from .writer import ObservabilityWriter

_lock = threading.RLock()
writer: ObservabilityWriter | None = None
"""The process-wide writer, once there is one. ``exchange()`` replaces it."""


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


def configure(
    *, replace: bool = False, settings: Options | None = None, **options: Any
) -> ObservabilityWriter:
    """Make the process-wide writer, and return it.

    *options* are those of ``ObservabilityWriterConfig``; what is not given comes from
    ``OBSWRITER_*`` variables, then from *settings* (a framework's), and else files go below
    ``./observability``, for project ``default``. ``ConfigurationError`` names what is wrong.

    Called again with the same outcome it does nothing; with another, it raises
    ``AlreadyConfiguredError`` unless *replace* is true: then the old writer is shut down. A
    writer made implicitly, by the first event, gives way and hands its events over.
    """
    config = resolve_config(options, settings)
    with _lock:
        old = writer
        if old is not None and not old.is_shutdown and not replace:
            if old.is_made_by(config):
                old.implicit = False
                return old
            if not old.implicit:
                raise AlreadyConfiguredError(_explain(old.config, config))
        new = ObservabilityWriter(config)
        exchange(new)
    if old is not None:
        old.give_way(new)
    return new


def resolve_config(options: Options, settings: Options | None = None) -> ObservabilityWriterConfig:
    """Return the options of a writer made here and now; ``ConfigurationError`` for a wrong one."""
    defaults = {"file_storage": os.curdir, "project_id": "default"}
    return ObservabilityWriterConfig.resolve(options, {**defaults, **(settings or {})})


def _explain(old: ObservabilityWriterConfig, new: ObservabilityWriterConfig) -> str:
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in OPTIONS]
    changes = [f"{name} was {_shown(a)} and is {_shown(b)}" for name, a, b in pairs if a != b]
    remedy = "Configure it in one place, or pass replace=True to shut the old writer down"
    return f"obswriter is configured already, otherwise: {', '.join(changes)}. {remedy}"


def _shown(value: object) -> str:
    return repr(without_credentials(value) if isinstance(value, str) else value)


def get_writer() -> ObservabilityWriter:
    """Return the process-wide writer; without ``configure()`` one is made from the environment."""
    with _lock:
        return writer or _make_implicit(resolve_config({}))


def _make_implicit(config: ObservabilityWriterConfig) -> ObservabilityWriter:
    made = ObservabilityWriter(config)
    made.implicit = True
    exchange(made)
    return made


def current_writer() -> ObservabilityWriter:
    """``get_writer()`` for those who must not raise: a wrong environment turns recording off."""
    if writer is not None:
        return writer
    try:
        return get_writer()
    except Exception as error:
        config = ObservabilityWriterConfig(file_storage=".", project_id="default", disabled=True)
        made = _make_implicit(config)  # first: who logs the error may record
        with storing(), suppress(Exception):  # a handler's errors are its own
            logging.getLogger("obswriter").error("obswriter records nothing: %s", error)
        return made


def exchange(successor: ObservabilityWriter | None) -> ObservabilityWriter | None:
    """Put *successor* in the process-wide writer's place, and return that; neither is shut down."""
    global writer
    with _lock:
        before, writer = writer, successor
    return before


def flush(timeout: float | None = None) -> FlushResult:
    """Store everything recorded so far; *timeout* is in seconds."""
    return writer.flush(timeout) if writer is not None else FlushResult()


def shutdown(timeout: float | None = None) -> FlushResult:
    """Flush and end the process-wide writer; later events are dropped and counted."""
    return writer.shutdown(timeout) if writer is not None else FlushResult()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
