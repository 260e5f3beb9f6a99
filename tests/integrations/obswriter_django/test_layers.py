"""Middleware and signals' receivers as spans, where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers import base
from django.dispatch import Signal
from django.http import HttpResponse
from django.urls import path

import obswriter

if TYPE_CHECKING:
    from obswriter.testing import Captured

OURS = "obswriter_django.ObservabilityMiddleware"
paid = Signal()


class Outer:
    """A middleware of both kinds, which works before and after the view."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.asynchronous = iscoroutinefunction(get_response)
        if self.asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        return self.answer(request) if self.asynchronous else self.get_response(request)

    async def answer(self, request: Any) -> Any:
        return await self.get_response(request)


def inner(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        obswriter.log("info", "after the view")
        return response

    return middleware


def view(request: Any) -> Any:
    if "fail" in request.GET:
        raise LookupError("out of tea")
    return HttpResponse("ok")


@pytest.fixture
def shop(site: Any) -> Any:
    site.settings.MIDDLEWARE = [OURS, f"{__name__}.Outer", f"{__name__}.inner"]
    site.settings.OBSWRITER = {"MIDDLEWARE": True}
    site.has(path("", view))
    return site


def test_each_middleware_is_a_span_in_the_one_around_it(shop: Any, captured: Captured) -> None:
    assert shop.get("/").body == b"ok"
    named = {span["name"]: span for span in captured.events("span")}
    assert list(named) == ["view", "middleware inner", "middleware Outer", "GET /"]
    parents = {name: span.get("parentSpanId") for name, span in named.items()}
    assert parents["view"] == named["middleware inner"]["id"]
    assert parents["middleware inner"] == named["middleware Outer"]["id"]
    assert parents["middleware Outer"] == named["GET /"]["id"]
    assert named["middleware Outer"]["attributes"]["code.function.name"] == f"{__name__}.Outer"


def test_the_view_ends_before_the_middleware_goes_on(shop: Any, captured: Captured) -> None:
    shop.get("/")
    log = captured.one("log")
    assert captured.one("span", name="view")["endTime"] <= log["timestamp"]
    assert log["spanId"] == captured.one("span", name="middleware inner")["id"]


def test_an_exception_is_recorded_once(shop: Any, captured: Captured) -> None:
    assert shop.get("/?fail=1").status == 500
    spans = captured.events("span")
    assert [span["name"] for span in spans if span.get("events")] == ["view"]
    assert captured.one("span", spanKind="server")["status"] == "error"


def test_nothing_of_it_is_left_where_it_is_not_asked_for(shop: Any, captured: Captured) -> None:
    shop.settings.OBSWRITER = {}
    shop.get("/")
    assert [span["name"] for span in captured.events("span")] == ["view", "GET /"]
    assert not hasattr(base.convert_exception_to_response, "_obswriter_original")
    assert not hasattr(Signal._live_receivers, "_obswriter_original")


def receive(sender: Any, **kwargs: Any) -> str:
    return "noted"


async def receive_async(sender: Any, **kwargs: Any) -> str:
    return "noted later"


def fail(sender: Any, **kwargs: Any) -> None:
    raise LookupError("out of tea")


@pytest.fixture
def receivers(settings: Any) -> Any:
    settings.OBSWRITER = {"SIGNALS": True}
    connected = (receive, receive_async, fail)
    for receiver in connected:
        paid.connect(receiver)
    yield
    for receiver in connected:
        paid.disconnect(receiver)


def test_each_receiver_is_a_span(receivers: None, captured: Captured) -> None:
    with obswriter.span("request") as request:
        answers = [answer for _, answer in paid.send_robust(None)]
    assert answers[0] == "noted"
    assert isinstance(answers[1], LookupError)
    assert answers[2] == "noted later"
    found = captured.events("span", parentSpanId=request.id)
    assert {span["name"]: span["status"] for span in found} == {
        "signal receive": "unset", "signal fail": "error", "signal receive_async": "unset",
    }  # fmt: skip


def test_outside_of_spans_receivers_are_left_alone(receivers: None, captured: Captured) -> None:
    assert paid.send_robust(None)[0] == (receive, "noted")
    assert captured.events("span") == []
