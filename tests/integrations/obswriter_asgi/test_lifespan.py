"""At the server's stop everything is stored before the server hears that it may end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from obswriter.testing import Captured

LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0"}}


class Application:
    """Answers requests, and ends its lifespan with the message it is given."""

    def __init__(self, last: str) -> None:
        self.last = last

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        if not self.last.startswith("lifespan.startup"):
            await receive()
            await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": self.last})


async def receive() -> dict[str, Any]:
    return {"type": "lifespan"}


@pytest.mark.parametrize(
    "last", ["lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"]
)
async def test_everything_is_stored_before_the_server_hears_of_the_end(
    captured: Captured, last: str
) -> None:
    app = ObservabilityMiddleware(Application(last))
    stored: dict[str, int] = {}

    async def send(message: dict[str, Any]) -> None:
        stored[message["type"]] = len(list(captured.root.glob("*/span/*/*.jsonl")))

    await call(app)
    await app(LIFESPAN, receive, send)  # type: ignore[arg-type]
    assert stored.pop("lifespan.startup.complete", 0) == 0
    assert stored == {last: 1}


async def test_the_loop_runs_on_while_events_are_stored(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    timeouts: list[float | None] = []

    def slow_flush(timeout: float | None = None) -> None:
        timeouts.append(timeout)
        asyncio.run_coroutine_threadsafe(release(), loop).result(timeout=10)

    async def release() -> None:
        let_go.set()

    async def send(message: dict[str, Any]) -> None:
        pass

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(obswriter, "flush", slow_flush)
    app = ObservabilityMiddleware(Application("lifespan.shutdown.complete"), flush_timeout=1.5)
    await app(LIFESPAN, receive, send)  # type: ignore[arg-type]
    assert let_go.is_set()
    assert timeouts == [1.5]


async def test_a_flush_that_fails_does_not_hold_up_the_shutdown(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_flush(timeout: float | None = None) -> None:
        raise OSError("no disk")

    sent: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    monkeypatch.setattr(obswriter, "flush", broken_flush)
    app = ObservabilityMiddleware(Application("lifespan.shutdown.complete"))
    await app(LIFESPAN, receive, send)  # type: ignore[arg-type]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_application_without_a_lifespan_refuses_it_as_before() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError(scope["type"])

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError

    with pytest.raises(NotImplementedError, match="lifespan"):
        await ObservabilityMiddleware(app)(LIFESPAN, receive, send)  # type: ignore[arg-type]
