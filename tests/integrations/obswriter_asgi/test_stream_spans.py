"""The streaming of a response as a span of its own, on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter import context
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import call

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obswriter.testing import Captured


async def rows(fail: bool = False) -> AsyncIterator[bytes]:
    yield b"first"
    with obswriter.span("query"):
        yield b"second"
    if fail:
        raise LookupError("out of tea")


def shop(**options: Any) -> Any:
    def table(request: Any) -> Any:
        return StreamingResponse(rows(fail="fail" in request.query_params))

    app = Starlette(routes=[Route("/", table), Route("/plain", lambda r: PlainTextResponse("x"))])
    return ObservabilityMiddleware(app, **options)


async def test_it_lasts_from_the_first_part_to_the_last(captured: Captured) -> None:
    await call(shop(streaming=True))
    stream, endpoint = captured.one("span", name="stream"), captured.one("span", name="table")
    assert stream["parentSpanId"] == endpoint["id"]
    assert stream["attributes"] == {"obswriter.stream.parts": 3}
    assert captured.one("span", name="query")["parentSpanId"] == stream["id"]
    assert endpoint["startTime"] <= stream["startTime"]
    assert stream["endTime"] <= captured.one("span", spanKind="server")["endTime"]
    assert context.current() is None


async def test_one_that_breaks_is_an_error_and_its_exception_is_recorded_once(
    captured: Captured,
) -> None:
    with pytest.raises(LookupError):
        await call(shop(streaming=True), query_string=b"fail=1")
    stream = captured.one("span", name="stream")
    assert (stream["status"], stream["attributes"]["error.type"]) == ("error", "LookupError")
    events = [event for span in captured.events("span") for event in span.get("events", ())]
    assert len(events) == 1
    assert context.current() is None


@pytest.mark.parametrize(("path", "options"), [("/", {}), ("/plain", {"streaming": True})])
async def test_there_is_none_unless_it_is_asked_for_and_streamed(
    captured: Captured, path: str, options: dict[str, Any]
) -> None:
    await call(shop(**options), path)
    assert [s for s in captured.events("span") if s["name"] == "stream"] == []


def test_a_wrong_switch_is_named() -> None:
    with pytest.raises(TypeError, match="streaming must be True or False; got 1"):
        ObservabilityMiddleware(shop(), streaming=1)  # type: ignore[arg-type]
