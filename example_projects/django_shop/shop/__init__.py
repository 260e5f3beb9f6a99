"""The project; with it comes the Celery app, which the tasks belong to."""

from .celery import app as celery_app

__all__ = ["celery_app"]
