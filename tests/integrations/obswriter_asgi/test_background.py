"""Background tasks of Starlette and FastAPI are spans of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter.testing import capture
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import call

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from obswriter.testing import Captured


class KitchenError(Exception):
    pass


async def send_receipt() -> None:
    obswriter.log("info", "receipt")


def print_label() -> None:
    obswriter.log("info", "label")


def fail() -> None:
    raise KitchenError("no paper")


def shop(*tasks: Any) -> ObservabilityMiddleware:
    async def order(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ordered", background=BackgroundTasks(tasks))

    app = Starlette()
    app.add_route("/", order)
    return ObservabilityMiddleware(app)


async def test_each_task_is_a_span_below_the_endpoint(captured: Captured) -> None:
    """getsentry/sentry-python#1473: [FastAPI] Background Tasks."""
    await call(shop(BackgroundTask(send_receipt), BackgroundTask(print_label)))
    order = captured.one("span", name="order")
    for task, message in ((send_receipt, "receipt"), (print_label, "label")):
        span = captured.one("span", name=task.__name__)
        assert span["parentSpanId"] == order["id"]
        assert span["attributes"]["code.function.name"] == f"{__name__}.{task.__name__}"
        assert span["startTime"] >= order["endTime"]
        assert captured.one("log", message=message)["spanId"] == span["id"]
    assert len({event["traceId"] for event in captured.events("span")}) == 1


async def test_a_task_that_fails_says_so_and_the_exception_is_recorded_once(
    captured: Captured,
) -> None:
    with pytest.raises(KitchenError):
        await call(shop(BackgroundTask(fail)))
    task = captured.one("span", name="fail")
    assert task["status"] == "error"
    assert task["attributes"]["error.type"].endswith("KitchenError")
    assert captured.one("span", name="order")["status"] == "unset"
    events = [event for span in captured.events("span") for event in span.get("events", ())]
    assert len(events) == 1


async def test_outside_of_observed_requests_a_task_is_left_alone(captured: Captured) -> None:
    shop()  # from here on tasks are looked at
    await BackgroundTask(print_label)()
    assert captured.events("span") == []
    with capture(disabled=True) as disabled:
        await call(shop(BackgroundTask(print_label)))
        assert disabled.events() == []


def test_fastapis_tasks_are_starlettes(captured: Captured) -> None:
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("starlette.testclient")
    app = fastapi.FastAPI()
    app.add_middleware(ObservabilityMiddleware)

    def order(tasks: Any) -> str:
        tasks.add_task(print_label)
        return "ordered"

    order.__annotations__["tasks"] = fastapi.BackgroundTasks
    app.get("/")(order)
    assert testclient.TestClient(app).get("/").status_code == 200
    assert captured.one("log")["spanId"] == captured.one("span", name="print_label")["id"]
