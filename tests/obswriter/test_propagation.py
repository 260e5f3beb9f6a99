"""W3C Trace Context: who called us, and telling those we call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import obswriter
from obswriter import SpanContext
from obswriter.propagation import (
    extract,
    format_traceparent,
    inject,
    parse_traceparent,
)
from obswriter.testing import Captured

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 3),
    st.sampled_from(["", "a=b", "a=1,b=2"]),
)
def test_what_is_formatted_is_parsed_as_the_same(
    trace_id: int, span_id: int, flags: int, state: str
) -> None:
    span = SpanContext(f"{trace_id:032x}", f"{span_id:016x}", flags, state)
    header = format_traceparent(span)
    assert header is not None
    assert len(header) == 55
    assert parse_traceparent(header, state) == span


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (PARENT, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),  # unknown flags are not passed on
        (f"00-{TRACE}-{SPAN}-0a", 2),
        (f" \t{PARENT} ", 1),
        (f"01-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
        (f"fe-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_a_valid_header_names_the_parent(header: str, flags: int) -> None:
    assert parse_traceparent(header, "a=b") == SpanContext(TRACE, SPAN, flags, "a=b")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        PARENT[:-1],
        PARENT + "1",
        PARENT + "-",
        PARENT + "-extra",
        PARENT + "\n",
        PARENT.upper(),
        PARENT.replace("-", "_"),
        f"0-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01-extra",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"0g-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE[:-1]}x-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-",
        f"00-{TRACE}-{SPAN}-xx",
        f"00-{TRACE}-{SPAN}",
        f"{PARENT},{PARENT}",
        None,
        5,
        PARENT.encode(),
    ],
)
def test_an_invalid_header_means_no_parent(header: Any) -> None:
    assert parse_traceparent(header, "a=b") is None


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
def test_no_header_breaks_the_parser(header: str) -> None:
    found = parse_traceparent(header)
    if found is not None:
        assert parse_traceparent(format_traceparent(found)) == found


@pytest.mark.parametrize(
    "span",
    [
        SpanContext("order-7", SPAN),
        SpanContext(TRACE, "step-1"),
        SpanContext(TRACE.upper(), SPAN),
        SpanContext("0" * 32, SPAN),
        SpanContext(TRACE, SPAN, 256),
    ],
)
def test_ids_that_a_header_cannot_carry_are_not_sent(span: SpanContext) -> None:
    assert format_traceparent(span) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": PARENT, "tracestate": "a=b"},
        {"Traceparent": PARENT, "TRACESTATE": "a=b"},
        {"TraceParent": PARENT, "tracestate": "a=b", 5: "x", None: PARENT},
    ],
)
def test_headers_are_found_whatever_the_case_of_their_names(headers: dict[Any, Any]) -> None:
    assert extract(headers) == SpanContext(TRACE, SPAN, 1, "a=b")


@pytest.mark.parametrize(
    "headers",
    [{}, {"tracestate": "a=b"}, {"traceparent": "nonsense", "tracestate": "a=b"},
     {"traceparent": None}, {"traceparent": [PARENT]}],
)  # fmt: skip
def test_without_a_valid_header_there_is_no_parent(headers: dict[Any, Any]) -> None:
    assert extract(headers) is None


def test_a_state_that_is_no_text_is_left_out() -> None:
    headers: Any = {"traceparent": PARENT, "tracestate": ["a=b"]}
    assert extract(headers) == SpanContext(TRACE, SPAN, 1, "")


def test_the_current_span_is_written_into_headers(captured: Captured) -> None:
    headers = {"accept": "*/*"}
    inject(headers)
    assert headers == {"accept": "*/*"}
    with obswriter.span("call") as span:
        inject(headers)
    assert headers == {"accept": "*/*", "traceparent": f"00-{span.trace_id}-{span.id}-03"}


def test_a_callers_state_and_flags_are_passed_on(captured: Captured) -> None:
    headers: dict[str, str] = {}
    theirs = {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=b,c=d"}
    with obswriter.span("call", parent=extract(theirs)) as span:
        inject(headers)
    assert headers == {"traceparent": f"00-{TRACE}-{span.id}-00", "tracestate": "a=b,c=d"}


def test_below_a_callers_span_is_a_local_root_with_children_of_its_own(captured: Captured) -> None:
    with obswriter.span("serve", parent=extract({"traceparent": PARENT})), obswriter.span("inner"):
        pass
    serve, inner = captured.one("span", name="serve"), captured.one("span", name="inner")
    assert (serve["traceId"], serve["parentSpanId"]) == (TRACE, SPAN)
    assert (inner["traceId"], inner["parentSpanId"]) == (TRACE, serve["id"])
    assert captured.one("trace", name="serve")["id"] == TRACE
    assert captured.events("trace", name="inner") == []


def test_a_parent_cannot_be_changed() -> None:
    parent: Any = SpanContext(TRACE, SPAN)
    with pytest.raises(AttributeError):
        parent.trace_id = "x"
    assert parent == SpanContext(TRACE, SPAN, 1, "")
    assert hash(parent) == hash(SpanContext(TRACE, SPAN))


@pytest.mark.parametrize("ids", [("", SPAN), (TRACE, ""), (5, SPAN), (TRACE, None)])
def test_a_parent_has_ids(ids: tuple[Any, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match="id must"):
        SpanContext(*ids)
