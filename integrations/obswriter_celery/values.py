"""Arguments and results as spans may hold them: as they were at the moment, named, and cut."""

import inspect
from typing import Any, Final

from celery.app.task import Task

from obswriter.repair import cut, repair

MOST: Final = 1024
"""Characters of a text, items of a list, keys of a mapping; the rest is cut."""


def as_recorded(value: Any) -> Any:
    """Return a copy of *value*: a task may change what it was given."""
    return cut(repair(value), MOST)


def named_arguments(task: Task[Any, Any], args: Any, kwargs: Any) -> Any:
    """Return a call's arguments by the names of the parameters, by which secrets are known."""
    try:
        given = inspect.signature(task.run).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # they do not fit: that is what the task will say
        given = {"args": args, "kwargs": kwargs}
    return as_recorded(given)
