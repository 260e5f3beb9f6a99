"""Does what ``settings.OBSWRITER`` asks for: for the app, or for the middleware without it."""

import logging
from contextlib import suppress

from django.core.signals import got_request_exception, setting_changed

import obswriter

from .checks import OWN_FAULT, check_settings
from .conf import CELERY, celery_options, conf
from .database import watch_connections
from .layers import watch_layers
from .middleware import note_unhandled_exception
from .spans import watch_spans

logger = logging.getLogger("obswriter")


def activate() -> str:
    """Configure the process-wide writer; returns why the settings are not used, if they are not.

    A wrong setting is logged. Done again, it does nothing.
    """
    got_request_exception.connect(note_unhandled_exception, dispatch_uid=__name__)
    setting_changed.connect(_follow_settings, dispatch_uid=__name__)
    watch_connections()
    watch_spans()
    watch_layers()
    if celery := conf.wants(CELERY):
        import obswriter_celery

        obswriter_celery.install(**celery_options(celery))
    faults = check_settings()
    texts = [f"{fault.msg} {fault.hint} ({fault.id})" for fault in faults]
    if any(fault.id != OWN_FAULT for fault in faults):
        _record_nothing(texts)
        return ""
    _say(texts)
    return _configure()


def _configure() -> str:
    try:
        obswriter.configure(settings=conf.options)
    except obswriter.AlreadyConfiguredError as error:
        logger.warning("OBSWRITER is not used: %s", error)
        return str(error)
    except obswriter.ConfigurationError as error:
        _record_nothing([str(error)])
    return ""


def _follow_settings(*, setting: str, **kwargs: object) -> None:
    """Tests change settings on the way."""
    if setting == "OBSWRITER":
        watch_connections()
        watch_spans()
        watch_layers()


def _record_nothing(faults: list[str]) -> None:
    """Better no events than events in a place or a project nobody meant.

    The faults are said afterwards: before, they would be recorded themselves.
    """
    with suppress(obswriter.ObswriterError):  # what the process configured before stays as it is
        obswriter.configure(disabled=True)
        faults = [*faults, "obswriter records nothing until that is corrected"]
    _say(faults)


def _say(faults: list[str]) -> None:
    for fault in faults:
        logger.error("%s", fault)
