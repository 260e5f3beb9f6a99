"""The Django app: system checks, ``manage.py obswriter``, and all that the settings ask for."""

from django.apps import AppConfig
from django.core import checks

from .activation import activate
from .checks import check_middleware, check_settings, check_storage, check_use


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
        self.conflict = activate()
