"""What every test gets: servers to ask for, and an environment that is nobody's own."""

from __future__ import annotations

import os
import signal
import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured

# Whoever starts the tests may ignore signals (nohup, a shell's background job), and what they start
# would inherit that.
for _name, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    _signal = getattr(signal, _name, None)
    if _signal is not None and signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

# How long an example takes says nothing where other work is going on.
settings.register_profile(
    "obswriter", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("obswriter")

pytest.register_assert_rewrite("obswriter_testsupport.storage_suite")
pytest_plugins = ["obswriter_testsupport.servers"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def state_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of directories nobody has used yet; making them is up to whoever needs one."""
    root = tmp_path_factory.mktemp("state")
    return (root / str(number) for number in count())


@pytest.fixture(autouse=True)
def neutral_environment(
    monkeypatch: pytest.MonkeyPatch, state_homes: Iterator[Path]
) -> Iterator[None]:
    """No test depends on the developer's OBSWRITER_* variables, nor writes to their home.

    And none leaves a writer at work, which the next test would meet.
    """
    for name in os.environ:
        if name.startswith("OBSWRITER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(next(state_homes)))
    yield
    wait_until(lambda: "obswriter" not in {thread.name for thread in threading.enumerate()})


@pytest.fixture
def captured() -> Iterator[Captured]:
    """What the process-wide writer records while the test runs."""
    from obswriter.testing import capture

    with capture() as events:
        yield events
