"""Celery's tasks, recorded: where they are published and where they run, in one trace.

obswriter_celery.install()  # in the module of the Celery app

Everything comes from Celery's own signals, but for which schedule of Beat is due.
"""

from .installation import install, uninstall
from .options import CeleryOptions

__all__ = ["CeleryOptions", "install", "uninstall"]
