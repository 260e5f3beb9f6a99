"""Real workers and their child processes: each task is on disk, in its publisher's trace."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_testsupport.celery_brokers import open_shop
from obswriter_testsupport.celery_workers import (
    Shop,
    end_of,
    is_idle,
    make_shop,
    replaces_children,
    working,
)
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from celery import Celery

    from obswriter.testing import Captured

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="prefork needs fork"),
    pytest.mark.usefixtures("installed"),
]


@pytest.fixture
def shop(tmp_path: Path, captured: Captured) -> Shop:
    """Workers that store where the publisher, this process, does."""
    return make_shop(tmp_path / "shop", captured.root)


@pytest.fixture
def publisher(shop: Shop) -> Iterator[Celery]:
    with shop.publisher() as app:
        yield app


def stop(worker: subprocess.Popen[bytes]) -> None:
    """A warm shutdown; what is on disk after it is there without any adoption."""
    worker.send_signal(signal.SIGTERM)
    assert end_of(worker) == 0


def run_of(captured: Captured, number: int) -> dict[str, Any]:
    return captured.one("span", id=captured.one("log", message=f"order {number}")["spanId"])


@pytest.mark.parametrize(
    "flags",
    [
        ["-P", "prefork", "-c", "2"],
        ["-P", "prefork", "-c", "1", "--max-tasks-per-child", "1"],
        ["-P", "solo"],
        ["-P", "threads", "-c", "2"],
        ["-P", "gevent", "-c", "2"],
        ["-P", "prefork", "--autoscale", "3,1"],
        ["-P", "prefork", "-c", "1", "--max-memory-per-child", "1"],
    ],
    ids=[
        "prefork",
        "one-task-per-child",
        "solo",
        "threads",
        "gevent",
        "autoscale",
        "one-by-memory",
    ],
)
def test_a_stopped_worker_has_stored_every_task_in_its_publishers_trace(
    captured: Captured, shop: Shop, publisher: Celery, flags: list[str]
) -> None:
    """open-telemetry/opentelemetry-python-contrib#4916: spans lost when worker_max_tasks_per_child
    recycles the pool child; open-telemetry/opentelemetry-python#2266: Batch Span Processor does not
    work (with the threads and gevent pools, as a comment has it)
    """
    numbers = range(4)
    with working(shop, *flags) as worker:
        with obswriter.span("request") as request:
            ids = {number: publisher.send_task("shop.order", (number,)).id for number in numbers}
        wait_until(lambda: shop.is_done(*numbers), 60, message=shop.output)
        if replaces_children(flags) and sys.platform == "linux":
            wait_until(lambda: is_idle(worker, 1), 60, message=shop.output)
        stop(worker)
    # Before this process, which stores in the same place, could adopt anything.
    logged = {event["message"] for event in stored_events(captured.root, "log")}
    assert {f"order {number}" for number in numbers} < logged
    runs = [e for e in stored_events(captured.root, "span") if e["name"] == "run shop.order"]
    assert len(runs) == len(numbers)
    published = {span["id"]: span for span in captured.events("span", name="publish shop.order")}
    for number in numbers:
        run = run_of(captured, number)
        assert run["name"] == "run shop.order"
        assert run["traceId"] == request.trace_id
        assert (
            published.pop(run["parentSpanId"])["attributes"]["messaging.message.id"] == ids[number]
        )
        assert run["attributes"]["messaging.message.id"] == ids[number]
        assert run["attributes"]["messaging.destination.name"] == shop.conf["task_default_queue"]
        assert run["attributes"]["celery.state"] == "SUCCESS"
        # The root logger lost its handlers to Celery, which also cut the tasks' logger off it.
        assert captured.one("log", message=f"plain {number}")["spanId"] == run["id"]
    traces = Counter(trace["id"] for trace in captured.events("trace"))
    assert traces == {request.trace_id: 1 + len(numbers)}


def test_a_failure_is_recorded_with_its_exception(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    """getsentry/sentry-python#285: not capturing error with max_tasks_per_child = 1"""
    with working(shop, "-c", "1", "--max-tasks-per-child", "1") as worker:
        publisher.send_task("shop.fail")
        publisher.send_task("shop.order", (1,))
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        if sys.platform == "linux":
            wait_until(lambda: is_idle(worker, 1), 60, message=shop.output)
        stop(worker)
    run = captured.one("span", name="run shop.fail")
    assert (run["status"], run["attributes"]["celery.state"]) == ("error", "FAILURE")
    (event,) = run["events"]
    assert event["attributes"]["exception.message"] == "out of stock"
    assert "raise ValueError" in event["attributes"]["exception.stacktrace"]
    (logged,) = (e for e in captured.events("log", level="error") if e["spanId"] == run["id"])
    assert logged["attributes"]["exception.type"] == "ValueError"


def test_retries_are_runs_in_one_trace(captured: Captured, shop: Shop, publisher: Celery) -> None:
    with working(shop, "-c", "1") as worker:
        publisher.send_task("shop.flaky")
        wait_until(lambda: shop.is_done("flaky"), 60, message=shop.output)
        stop(worker)
    runs = sorted(captured.events("span", name="run shop.flaky"), key=lambda s: s["startTime"])
    told = [(s["attributes"]["celery.retries"], s["attributes"]["celery.state"]) for s in runs]
    assert told == [(0, "RETRY"), (1, "RETRY"), (2, "SUCCESS")]
    assert len({run["traceId"] for run in runs}) == 1
    spans = {span["id"]: span for span in captured.events("span")}
    for earlier, later in pairwise(runs):
        published = spans[later["parentSpanId"]]
        assert published["parentSpanId"] == earlier["id"]
        assert published["attributes"]["celery.retries"] == later["attributes"]["celery.retries"]


def test_tasks_started_by_a_task_are_below_its_span(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    """open-telemetry/opentelemetry-python#970: traces within tasks or nested tasks don't seem to
    get published
    """
    with working(shop, "-c", "2") as worker:
        publisher.send_task("shop.batch", (1, 2))
        wait_until(lambda: shop.is_done(1, 2), 60, message=shop.output)
        stop(worker)
    spans = {span["id"]: span for span in captured.events("span")}
    for number in (1, 2):
        names, span = [], run_of(captured, number)
        while "parentSpanId" in span:
            span = spans[span["parentSpanId"]]
            names.append(span["name"])
        assert names == ["publish shop.order", "dispatch", "run shop.batch", "publish shop.batch"]


def test_a_killed_childs_events_are_adopted_and_the_main_process_records_the_end(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    with working(shop, "-c", "2", OBSWRITER_FLUSH_INTERVAL_MS="500"):
        publisher.send_task("shop.killed")
        publisher.send_task("shop.order", (1,))
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        wait_until(lambda: captured.events("span", name="before the kill"), 60)
        # Celery gives a lost child ten seconds to turn up.
        wait_until(lambda: captured.events("span", name="settle shop.killed"), 60)
    before = captured.one("span", name="before the kill")
    assert captured.one("log", message="about to be killed")["spanId"] == before["id"]
    assert before["traceId"] == captured.one("span", name="publish shop.killed")["traceId"]
    assert_settled(captured, "killed", "WorkerLostError")


def test_a_task_over_its_hard_time_limit_is_recorded_by_the_main_process(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    with working(shop, "-c", "1", OBSWRITER_FLUSH_INTERVAL_MS="200"):
        publisher.send_task("shop.hangs")
        wait_until(lambda: captured.events("span", name="settle shop.hangs"), 60)
        wait_until(lambda: captured.events("span", name="run shop.hangs"), 60)
    assert_settled(captured, "hangs", "TimeLimitExceeded")


def assert_settled(captured: Captured, task: str, error: str) -> None:
    published = captured.one("span", name=f"publish shop.{task}")
    settled = captured.one("span", name=f"settle shop.{task}")
    assert (settled["traceId"], settled["parentSpanId"]) == (published["traceId"], published["id"])
    assert (settled["status"], settled["attributes"]["celery.state"]) == ("error", "FAILURE")
    assert settled["attributes"]["error.type"] == f"billiard.exceptions.{error}"
    run = captured.one("span", name=f"run shop.{task}")
    assert (run["traceId"], run["parentSpanId"]) == (published["traceId"], published["id"])
    # Celery first asks a child to end, which may still say so itself.
    assert run["attributes"].keys() & {"obswriter.outcome", "obswriter.ended_by"}


def test_a_task_that_came_too_late_is_recorded_as_revoked(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    with working(shop, "-c", "1") as worker:
        publisher.send_task("shop.order", (7,), expires=-1)
        publisher.send_task("shop.order", (1,))
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        stop(worker)
    attributes = captured.one("span", name="settle shop.order")["attributes"]
    assert attributes["celery.state"] == "REVOKED"
    assert attributes["celery.revoked.reason"] == "expired"
    assert not shop.is_done(7)


def test_what_a_killed_worker_recorded_comes_back_at_the_next_start(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    with working(shop, "-c", "1") as worker:
        publisher.send_task("shop.order", (1,))
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        os.kill(worker.pid, signal.SIGKILL)  # its child gets the kernel's death signal
        worker.wait()
    publisher.send_task("shop.order", (2,))
    with working(shop, "-c", "1") as worker:
        wait_until(lambda: shop.is_done(2), 60, message=shop.output)
        wait_until(lambda: captured.events("log", message="order 1"), 30)
        stop(worker)
    assert run_of(captured, 2)["attributes"]["celery.state"] == "SUCCESS"


@pytest.fixture(params=["redis", "amqp"])
def server(request: pytest.FixtureRequest, tmp_path: Path, captured: Captured) -> Iterator[Shop]:
    """A shop whose messages go through a real server."""
    request.getfixturevalue(f"{request.param}_url")
    with open_shop(tmp_path / "shop", captured.root, request.param) as shop:
        yield shop


def test_a_trace_goes_through_a_real_server(captured: Captured, server: Shop) -> None:
    with server.publisher() as publisher, working(server, "-c", "2") as worker:
        with obswriter.span("request") as request:
            publisher.send_task("shop.batch", (1, 2))
        wait_until(lambda: server.is_done(1, 2), 60, message=server.output)
        stop(worker)
    runs = [run_of(captured, number) for number in (1, 2)]
    assert {run["traceId"] for run in runs} == {request.trace_id}
    spans = {span["id"]: span for span in captured.events("span")}
    for run in runs:
        assert spans[run["parentSpanId"]]["name"] == "publish shop.order"


def test_a_message_redelivered_after_its_worker_was_killed_is_in_the_same_trace(
    captured: Captured, server: Shop
) -> None:
    server.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
    )
    with server.publisher() as publisher, working(server, "-c", "1") as worker:
        with obswriter.span("request") as request:
            publisher.send_task("shop.killed_once")
        wait_until(lambda: server.is_done("killed-once"), 60, message=server.output)
        stop(worker)
    runs = captured.events("span", name="run shop.killed_once")
    assert {run["traceId"] for run in runs} == {request.trace_id}
    outcomes = [run["attributes"].get("celery.state") for run in runs]
    outcomes += [run["attributes"].get("obswriter.outcome") for run in runs]
    assert sorted(filter(None, outcomes)) == ["SUCCESS", "process_died"]
    assert captured.events("log", message="about to be killed once")
