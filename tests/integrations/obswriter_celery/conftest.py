"""What the tests of obswriter_celery share: signals connected, and two kinds of application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

pytest.importorskip("celery")

from celery import Celery

import obswriter_celery

if TYPE_CHECKING:
    from collections.abc import Iterator


class OwnTasks(Celery):
    """An application whose tasks no other has: they are shared unless one says so."""

    def task(self, *args: Any, **options: Any) -> Any:
        return super().task(*args, **{"shared": False, **options})


@pytest.fixture
def installed() -> Iterator[None]:
    obswriter_celery.install()
    yield
    obswriter_celery.uninstall()


@pytest.fixture
def eager(installed: None) -> Iterator[Celery]:
    """An application whose tasks run where they are called."""
    with OwnTasks("eager", set_as_current=False) as app:
        app.conf.task_always_eager = True
        yield app


@pytest.fixture
def memory(installed: None) -> Iterator[Celery]:
    """An application that publishes to a broker within the process, which outlives it."""
    with OwnTasks("memory", set_as_current=False, broker="memory://") as app:
        app.conf.task_default_queue = uuid4().hex
        yield app
