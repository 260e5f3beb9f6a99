"""Switches the recording of Celery's tasks on and off."""

from collections.abc import Callable
from typing import Any, Final

from celery import Celery, signals

import obswriter

from . import options, producer, runs, schedules, settlements, worker

_RECEIVERS: Final[dict[str, Callable[..., None]]] = {
    "before_task_publish": producer.begin_message,
    "after_task_publish": producer.end_message,
    "task_received": settlements.note_received,
    "task_prerun": runs.begin_run,
    "task_success": runs.note_result,
    "task_failure": settlements.note_failure,
    "task_retry": settlements.note_retry,
    "task_revoked": settlements.note_revoked,
    "task_unknown": settlements.note_unknown,
    "task_rejected": settlements.note_rejected,
    "task_postrun": runs.end_run,
    "heartbeat_sent": settlements.note_heartbeat,
    "beat_init": schedules.watch_scheduler,
    "celeryd_init": worker.note_log_handlers,
    "celeryd_after_setup": worker.note_pool,
    "import_modules": worker.note_log_handlers,
    "after_setup_logger": worker.restore_log_handlers,
    "after_setup_task_logger": worker.restore_log_handlers,
    "worker_process_shutdown": worker.flush,
    "worker_shutdown": worker.flush,
}


def install(app: Celery | None = None, **given: Any) -> None:
    """Record the tasks this process publishes and runs; a second call adds nothing.

    What is *given* are ``CeleryOptions`` and the options of ``obswriter.configure()``; with an
    *app*, its setting ``obswriter`` (a mapping) has those that neither the call nor
    ``OBSWRITER_*`` variables give. With none of them the writer is left as it is. Raises
    ``ConfigurationError`` for a wrong option, and what ``configure()`` raises.
    """
    settings = (app is not None and app.conf.get("obswriter")) or {}
    own, shared = options.choose(given, settings)
    if own or shared:
        obswriter.configure(settings=shared, **own)
    for name, receiver in _RECEIVERS.items():
        # Celery takes its time over each signal that somebody listens to.
        if options.chosen.results or receiver is not runs.note_result:
            getattr(signals, name).connect(receiver, weak=False, dispatch_uid=_uid(name))


def uninstall() -> None:
    """Stop recording tasks; the writer goes on."""
    for name in _RECEIVERS:
        getattr(signals, name).disconnect(dispatch_uid=_uid(name))
    options.forget()


def _uid(name: str) -> str:
    return f"obswriter_celery.{name}"
