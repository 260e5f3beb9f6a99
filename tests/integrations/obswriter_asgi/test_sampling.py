"""Requests of a share of the traces: the caller's flag counts, and errors are kept on request."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from obswriter.testing import capture
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/fails":
        raise LookupError("out of tea")
    await answer(send, 503 if scope["path"] == "/full" else 200)


async def recorded(path: str, flags: str | None, **options: Any) -> int:
    headers = [("traceparent", CALLER.format(flags))] if flags else []
    with capture(**options) as captured:
        with suppress(LookupError):
            await call(ObservabilityMiddleware(app), path, headers=headers)
        return len(captured.events("span"))


@pytest.mark.parametrize(
    ("rate", "flags", "count"), [(0, None, 0), (0, "1", 1), (0.5, "0", 0), (1, "0", 1)]
)
async def test_a_callers_flag_decides(rate: float, flags: str | None, count: int) -> None:
    assert await recorded("/", flags, sample_rate=rate) == count


@pytest.mark.parametrize(("path", "count"), [("/", 0), ("/fails", 1), ("/full", 1)])
async def test_errors_are_kept_on_request(path: str, count: int) -> None:
    assert await recorded(path, None, sample_rate=0, sample_errors=True) == count
    assert await recorded(path, None, sample_rate=0) == 0
