"""The rows of the exit matrix, each group in a module of its own that has them as ``ROWS``."""

from __future__ import annotations

from importlib import import_module

from obswriter_testsupport.exits import Row

GROUPS = ("scripts", "children", "uvicorn", "gunicorn", "uwsgi", "celery", "django")


def every_row() -> list[Row]:
    """Return all rows. No group needs what it tries in order to be imported."""
    modules = [import_module(f"{__name__}.{group}") for group in GROUPS]
    return [row for module in modules for row in module.ROWS]
