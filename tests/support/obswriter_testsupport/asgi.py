"""Calls an ASGI application in this very task, where a test sees each message and the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


def http_scope(
    path: str = "/", *, method: str = "GET", headers: Iterable[tuple[str, str]] = (), **more: Any
) -> dict[str, Any]:
    """Return the scope of a request as a server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 8000),
        **more,
    }


async def receive_nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def call(
    app: Callable[..., Awaitable[None]],
    path: str = "/",
    *,
    on_message: Callable[[dict[str, Any]], Any] | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Ask *app* for *path*, and return the messages it sent; *options* are ``http_scope``'s."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if on_message is not None:
            on_message(message)

    await app(http_scope(path, **options), receive_nothing, send)
    return sent


async def answer(send: Callable[..., Awaitable[None]], status: int = 200, **more: Any) -> None:
    """Send a whole small response."""
    await send({"type": "http.response.start", "status": status, "headers": [], **more})
    await send({"type": "http.response.body", "body": b"ok"})
