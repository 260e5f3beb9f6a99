"""What ``install()`` may be told beside the writer's options."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from obswriter import ConfigurationError


@dataclass(frozen=True, slots=True)
class CeleryOptions:
    """What is recorded on request, and how traces are joined.

    ``link``: each run is a trace of its own, with a link to the span it was published in.
    ``arguments``, ``results``: what tasks are called with, by the names of their parameters, and
    what they return; without what is named like a secret, and cut.
    ``metrics``: ``messaging.process.duration`` and ``celery.task.queue_time`` of each run, and
    ``celery.worker.tasks.active`` and ``celery.worker.tasks.prefetched`` of each worker.
    """

    link: bool = False
    arguments: bool = False
    results: bool = False
    metrics: bool = False

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} must be True or False; got {value!r}")


NAMES: Final = tuple(field.name for field in fields(CeleryOptions))

chosen = CeleryOptions()
"""What the last ``install()`` was told; ask through the module."""


def choose(*sources: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Take the options of this module out of the *sources*, of which the first counts most.

    Returns what is left of each: the writer's options. Where nobody says anything, what was
    chosen before stays.
    """
    global chosen
    given = {name: source[name] for source in reversed(sources) for name in NAMES if name in source}
    if given:
        chosen = CeleryOptions(**given)
    return [{key: source[key] for key in source if key not in NAMES} for source in sources]


def forget() -> None:
    """Choose nothing."""
    global chosen
    chosen = CeleryOptions()
