"""What application code writes: strict mypy must accept it, and refuse what is marked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import MappingProxyType
from typing import assert_type

import obswriter
import obswriter_client
from obswriter import LiveSpan, LiveTrace, SpanContext
from obswriter.propagation import extract, inject, parse_traceparent
from obswriter.storage import is_storing


def say_everything(headers: dict[str, str]) -> None:
    with obswriter.trace("checkout", input={"cart": 7}, metadata={"tier": "gold"}) as trace:
        assert_type(trace, LiveTrace)
        trace.set_output([1, "two", None])
        trace.set_attribute("any", object())
    with obswriter.span("call", kind="client", attributes=MappingProxyType({"a": 1})) as span:
        assert_type(span, LiveSpan)
        assert_type(span.id, str)
        assert_type(span.trace_id, str)
        span.set_attributes({"b": 2})
        span.set_status("error", "it broke")
        span.set_name("GET /x")
        span.add_event("retry", {"attempt": 2})
        span.record_exception(ValueError("no"))
        inject(headers)
    obswriter.log("warn", "careful", attributes={"a": 1})
    obswriter.metric("queue.depth", 7, unit="{task}")
    obswriter.score("quality", 0.5, comment="so so", trace_id="order-7")


def refuse_misspellings() -> None:
    obswriter.span("s", kind="clinet")  # type: ignore[arg-type]
    obswriter.span("s", attributes=["a"])  # type: ignore[arg-type]
    obswriter.span("s").set_status("done")  # type: ignore[arg-type]
    obswriter.metric("m", "7")  # type: ignore[arg-type]
    obswriter.trace("t", inputs=1)  # type: ignore[call-arg]


def serve(headers: dict[str, str]) -> None:
    assert_type(extract(headers), SpanContext | None)
    assert_type(parse_traceparent(headers.get("traceparent")), SpanContext | None)
    with obswriter.span("serve", kind="server", parent=extract(headers)):
        pass
    assert_type(is_storing(), bool)


def observe_clients(session: object) -> None:
    undo = obswriter_client.observe_requests(session, exclude=["example.com"])
    assert_type(undo, Callable[[], None])
    obswriter_client.observe_httpx(request_headers=("x-*",), on_request=lambda span, request: None)
    obswriter_client.observe_urllib(exlude=["example.com"])  # type: ignore[call-arg]


# A decorated function has the type that it had.


@obswriter.observe
def add(a: int, b: int = 1) -> int:
    return a + b


@obswriter.span("fetch")
async def fetch(url: str) -> bytes:
    return url.encode()


@obswriter.trace("job", metadata={"queue": "mail"})
def numbers() -> Iterator[int]:
    yield 1


@obswriter.observe
async def lines() -> AsyncIterator[str]:
    yield "a"


class Shop:
    @obswriter.observe
    def total(self, factor: float) -> float:
        return factor


def use() -> None:
    assert_type(add(1, b=2), int)
    assert_type(numbers(), Iterator[int])
    assert_type(lines(), AsyncIterator[str])
    assert_type(Shop().total(1.5), float)
    fetching: Callable[[str], Awaitable[bytes]] = fetch
    assert callable(fetching)
    add("1")  # type: ignore[arg-type]
    Shop().total()  # type: ignore[call-arg]


async def use_async() -> None:
    assert_type(await fetch("x"), bytes)
    async for line in lines():
        assert_type(line, str)
