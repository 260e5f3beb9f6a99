"""A server to ask, and each of the clients, observed with the options a test asks for."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_testsupport.http_clients import CLIENTS, Httpx
from obswriter_testsupport.http_server import Server, answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Observe = Callable[..., Callable[[], None]]


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as found:
        yield found


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Httpx:
    found = CLIENTS[request.param]
    pytest.importorskip(found.library)
    return found


@pytest.fixture
def undone() -> Iterator[ExitStack]:
    """Where a test leaves its undos."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def observe(client: Httpx, undone: ExitStack) -> Observe:
    def begin(**options: Any) -> Callable[[], None]:
        undo = client.observe(**options)
        undone.callback(undo)
        return undo

    return begin
