"""How tasks end, how long they waited, and who had them published: on a real worker."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import obswriter
from obswriter_testsupport.celery_brokers import open_shop
from obswriter_testsupport.celery_workers import Shop, make_shop, working
from obswriter_testsupport.processes import end_process
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
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
    return make_shop(tmp_path / "shop", captured.root)


@pytest.fixture
def publisher(shop: Shop) -> Iterator[Celery]:
    with shop.publisher() as app:
        yield app


def test_a_run_says_where_it_ran_and_how_long_its_message_waited(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=1)
    publisher.send_task("shop.order", (1,))
    publisher.send_task("shop.order", (2,), eta=eta)
    with working(shop, "-c", "1", "-n", "clerk@counter") as worker:
        wait_until(lambda: shop.is_done(1, 2), 60, message=shop.output)
        end_process(worker, 60)
    runs = [captured.one("log", message=f"order {number}")["spanId"] for number in (1, 2)]
    first, second = (captured.one("span", id=run) for run in runs)
    assert first["attributes"]["celery.worker"] == "clerk@counter"
    assert first["attributes"]["celery.pool"] == "prefork"
    published = {
        span["attributes"]["messaging.message.id"]: span
        for span in captured.events("span", name="publish shop.order")
    }
    sent = published[first["attributes"]["messaging.message.id"]]
    waited = datetime.fromisoformat(first["startTime"]) - datetime.fromisoformat(sent["startTime"])
    assert first["attributes"]["celery.queue_time"] == pytest.approx(
        waited.total_seconds(), abs=0.25
    )
    # The time until then is no waiting.
    late = datetime.fromisoformat(second["startTime"]) - eta
    assert datetime.fromisoformat(second["attributes"]["celery.eta"]) == eta
    assert second["attributes"]["celery.queue_time"] == pytest.approx(
        max(0.0, late.total_seconds()), abs=0.25
    )


def test_each_run_is_a_trace_of_its_own_on_request(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    shop.conf["obswriter"] = {"link": True, "metrics": True}
    with obswriter.span("request"):
        publisher.send_task("shop.order", (1,))
    with working(shop, "-c", "1") as worker:
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        end_process(worker, 60)
    run = captured.one("span", name="run shop.order")
    published = captured.one("span", name="publish shop.order")
    assert "parentSpanId" not in run
    assert run["traceId"] != published["traceId"]
    assert run["attributes"]["obswriter.link.trace_id"] == published["traceId"]
    assert run["attributes"]["obswriter.link.span_id"] == published["id"]
    metrics = {metric["name"]: metric for metric in captured.events("metric")}
    assert metrics.keys() == {
        "messaging.process.duration",
        "celery.task.queue_time",
        "celery.worker.tasks.active",
        "celery.worker.tasks.prefetched",
    }
    waited = metrics["celery.task.queue_time"]
    assert waited["value"] == run["attributes"]["celery.queue_time"]
    assert waited["attributes"]["celery.task.name"] == "shop.order"
    assert metrics["celery.worker.tasks.prefetched"]["value"] == 1


def test_a_soft_time_limit_is_a_failure_with_its_exception(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    publisher.send_task("shop.hurries")
    publisher.send_task("shop.order", (1,))
    with working(shop, "-c", "1") as worker:
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        end_process(worker, 60)
    run = captured.one("span", name="run shop.hurries")
    assert (run["status"], run["attributes"]["celery.state"]) == ("error", "FAILURE")
    assert run["attributes"]["error.type"].endswith("SoftTimeLimitExceeded")


def test_a_task_that_is_revoked_says_whether_it_was_running(
    captured: Captured, tmp_path: Path, redis_url: str
) -> None:
    with open_shop(tmp_path / "shop", captured.root, "redis") as shop, shop.publisher() as app:
        shop.conf["worker_enable_remote_control"] = True
        running, waiting = app.send_task("shop.waits"), app.send_task("shop.order", (7,))
        with working(shop, "-c", "1", OBSWRITER_FLUSH_INTERVAL_MS="200") as worker:
            wait_until(lambda: shop.is_done("waiting"), 60, message=shop.output)
            app.control.revoke(waiting.id)
            app.control.terminate(running.id, signal="SIGKILL")
            wait_until(lambda: captured.events("span", name="settle shop.order"), 30)
            wait_until(lambda: captured.events("span", name="run shop.waits"), 30)
            end_process(worker, 60)
    for name, reason in (("shop.waits", "terminated"), ("shop.order", "revoked")):
        settled = captured.one("span", name=f"settle {name}")
        assert settled["parentSpanId"] == captured.one("span", name=f"publish {name}")["id"]
        assert settled["attributes"]["celery.state"] == "REVOKED"
        assert settled["attributes"]["celery.revoked.reason"] == reason
    killed = captured.one("span", name="run shop.waits")
    assert killed["attributes"]["obswriter.outcome"] == "process_died"
    assert not shop.is_done(7)


def test_what_a_worker_cannot_run_is_settled_in_its_publishers_trace(
    captured: Captured, shop: Shop, publisher: Celery
) -> None:
    publisher.send_task("shop.unheard_of")
    with publisher.connection_for_write() as connection:
        queue = publisher.amqp.queues[publisher.conf.task_default_queue]
        producer = connection.Producer()
        options = {"routing_key": queue.name, "declare": [queue]}
        producer.publish({"hello": "world"}, **options)
        headers = {"task": "shop.order", "id": "1", "eta": "tomorrow", "lang": "py"}
        producer.publish([[], {}, {}], headers=headers, **options)
    publisher.send_task("shop.order", (1,))
    with working(shop, "-c", "1") as worker:
        wait_until(lambda: shop.is_done(1), 60, message=shop.output)
        end_process(worker, 60)
    published = captured.one("span", name="publish shop.unheard_of")
    unknown = captured.one("span", name="settle shop.unheard_of")
    assert unknown["parentSpanId"] == published["id"]
    assert unknown["attributes"]["error.type"] == "celery.exceptions.NotRegistered"
    refused = captured.events("span", name="settle")
    assert {span["attributes"]["error.type"] for span in refused} == {
        "_OTHER",
        "celery.exceptions.InvalidTaskError",
    }
    for span in (unknown, *refused):
        assert (span["status"], span["attributes"]["celery.state"]) == ("error", "REJECTED")


def test_each_run_of_a_schedule_is_a_trace_with_the_schedules_name(
    captured: Captured, shop: Shop
) -> None:
    shop.conf["beat_schedule"] = {
        "every-so-often": {"task": "shop.order", "schedule": 0.2, "args": [7]}
    }
    command = [sys.executable, "-m", "celery", "-A", "shop", "beat", "-l", "INFO", "-s", "times"]
    with working(shop, "-c", "1") as worker, (shop.folder / "output").open("ab") as output:
        beat = subprocess.Popen(
            command, cwd=shop.folder, env=shop.environ(), stdout=output, stderr=output
        )
        try:
            wait_until(lambda: shop.output().count("order 7") > 2, 60, message=shop.output)
        finally:
            end_process(beat, 30)
        end_process(worker, 60)
    published = {span["id"]: span for span in captured.events("span", name="publish shop.order")}
    assert len({span["traceId"] for span in published.values()}) == len(published) > 1
    assert not any("parentSpanId" in span for span in published.values())
    runs = captured.events("span", name="run shop.order")
    assert {run["parentSpanId"] for run in runs} <= published.keys()
    for span in (*published.values(), *runs):
        assert span["attributes"]["celery.schedule.name"] == "every-so-often"
