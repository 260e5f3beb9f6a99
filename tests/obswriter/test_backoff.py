"""The waits between attempts at a store that fails."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from obswriter import ObservabilityWriterConfig
from obswriter.backoff import Backoff

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def backoff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backoff:
    monkeypatch.setattr("obswriter.backoff.time", SimpleNamespace(monotonic=lambda: 0.0))
    return Backoff(
        ObservabilityWriterConfig(
            file_storage=tmp_path, project_id="p", retry_initial_ms=100, retry_max_ms=1000
        )
    )


def fail(backoff: Backoff) -> float:
    backoff.fail()
    return backoff.retry_at


def test_the_wait_doubles_up_to_a_bound(backoff: Backoff) -> None:
    longest = [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]
    for most in longest:
        assert most / 2 <= fail(backoff) <= most


def test_processes_that_failed_together_do_not_come_back_together(backoff: Backoff) -> None:
    assert len({fail(backoff) for _ in range(20)}) > 10


def test_after_a_success_the_first_wait_is_short_again(backoff: Backoff) -> None:
    for _ in range(5):
        backoff.fail()
    backoff.succeed()
    assert backoff.retry_at < time.monotonic()
    assert fail(backoff) <= 0.1


def test_a_thousand_failures_are_no_overflow(backoff: Backoff) -> None:
    waits = [fail(backoff) for _ in range(1000)]
    assert max(waits) <= 1
