"""The Django app: it configures the process-wide writer from ``settings.OBSWRITER``."""

import logging
from contextlib import suppress

from django.apps import AppConfig
from django.core import checks
from django.core.signals import got_request_exception, setting_changed

import obswriter

from .checks import OWN_FAULT, check_middleware, check_settings, check_storage, check_use
from .conf import CELERY, celery_options, conf
from .database import watch_connections
from .middleware import note_unhandled_exception
from .spans import watch_spans

logger = logging.getLogger("obswriter")


class ObswriterConfig(AppConfig):
    """Nothing is started or written here: the first event does that."""

    name = "obswriter_django"
    verbose_name = "obswriter"
    conflict = ""
    """Why the settings are not used, where the process was configured before."""

    def ready(self) -> None:
        """Configure the writer. A wrong setting is logged, and reported by the system checks."""
        for check in (check_settings, check_storage, check_middleware, check_use):
            checks.register(check, "obswriter")
        got_request_exception.connect(note_unhandled_exception, dispatch_uid=self.name)
        setting_changed.connect(_follow_settings, dispatch_uid=self.name)
        watch_connections()
        watch_spans()
        if celery := conf.wants(CELERY):
            import obswriter_celery

            obswriter_celery.install(**celery_options(celery))
        faults = check_settings()
        for fault in faults:
            logger.error("%s %s (%s)", fault.msg, fault.hint, fault.id)
        if all(fault.id == OWN_FAULT for fault in faults):
            self._configure()
        else:
            _record_nothing()

    def _configure(self) -> None:
        try:
            obswriter.configure(settings=conf.options)
        except obswriter.AlreadyConfiguredError as error:
            self.conflict = str(error)
            logger.warning("OBSWRITER is not used: %s", error)
        except obswriter.ConfigurationError as error:
            logger.error("%s", error)
            _record_nothing()


def _follow_settings(*, setting: str, **kwargs: object) -> None:
    """Tests change settings on the way."""
    if setting == "OBSWRITER":
        watch_connections()
        watch_spans()


def _record_nothing() -> None:
    """Better no events than events in a place or a project nobody meant."""
    with suppress(obswriter.ObswriterError):  # what the process configured before stays as it is
        obswriter.configure(disabled=True)
        logger.error("obswriter records nothing until that is corrected")
