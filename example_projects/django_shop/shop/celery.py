"""The Celery app, for the worker and for the web server, which publishes to it."""

import os

from celery import Celery

import obswriter_celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
obswriter_celery.install()  # where to store is said in the settings' OBSWRITER
