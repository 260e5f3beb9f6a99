"""What users of other instrumentations of Celery reported, and what happens here instead.

The tasks run on a worker in a thread of this process, which all tests share.
"""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from celery import Celery, Task, chain
from celery.app import trace

import obswriter
import obswriter_celery
from obswriter import LiveSpan
from obswriter.propagation import set_baggage
from obswriter_celery import runs, settlements
from obswriter_testsupport.celery_workers import working_here
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obswriter.testing import Captured

pytestmark = pytest.mark.usefixtures("installed")

seen: list[Any] = []
"""What tasks say of themselves, besides what is recorded."""


class Late(Task):  # type: ignore[type-arg]
    """Says something when the run is over and what comes after it is published."""

    def after_return(self, *_: object) -> None:
        span = obswriter.current_span()
        assert isinstance(span, LiveSpan)
        span.set_attribute("late", True)


@pytest.fixture(scope="module")
def here() -> Iterator[Celery]:
    with Celery("here", set_as_current=False, broker="memory://") as app:
        app.conf.task_default_queue = uuid4().hex
        add_tasks(app)
        with working_here(app):
            yield app


def add_tasks(app: Celery) -> None:
    @app.task(name="note", base=Late, shared=False)
    def note(*_: object) -> None:
        seen.append(obswriter.current_span())

    @app.task(name="retry", bind=True, shared=False)
    def retry(self: Any) -> None:
        seen.append(vars(self.request)["baggage"])
        if self.request.retries < 2:
            raise self.retry(countdown=0)

    @app.task(name="call", shared=False)
    def call() -> None:
        before = obswriter.current_span()
        note.delay()
        assert obswriter.current_span() is before is not None

    @app.task(name="replaced", bind=True, shared=False)
    def replaced(self: Any) -> None:
        raise self.replace(note.si())

    @app.task(name="call_and_fail", shared=False)
    def call_and_fail() -> None:
        note.delay()
        raise LookupError

    @app.task(name="call_another", shared=False)
    def call_another() -> None:
        with Celery("second", set_as_current=False, broker="memory://") as second:
            second.send_task("elsewhere", queue=f"{app.conf.task_default_queue}-2")


def wait_for(captured: Captured, *names: str) -> list[dict[str, Any]]:
    """Wait until these spans are recorded; return them, in the order they began in."""

    def found() -> list[dict[str, Any]]:
        spans = [span for span in captured.events("span") if span["name"] in names]
        return spans if len(spans) >= len(names) else []

    return sorted(wait_until(found, 30), key=lambda span: span["startTime"])


def test_a_retry_that_is_published_leaves_the_runs_own_span_alone(
    captured: Captured, here: Celery
) -> None:
    """DataDog/dd-trace-py#787: Ensure `celery.run` span is closed when task is retried;
    getsentry/sentry-python#252: `CeleryIntegration` captures retries;
    getsentry/sentry-python#2993: duplicate baggage headers
    """
    seen.clear()
    with obswriter.span("request"):
        set_baggage("tenant", "acme")
        here.send_task("retry")
    spans = {span["id"]: span for span in wait_for(captured, *["run retry"] * 3, "request")}
    first, second, third = (s for s in spans.values() if s["name"] == "run retry")
    states = [span["attributes"]["celery.state"] for span in (first, second, third)]
    assert states == ["RETRY", "RETRY", "SUCCESS"]
    assert {span["status"] for span in spans.values()} == {"unset"}
    published = {span["id"]: span for span in captured.events("span", name="publish retry")}
    for run, earlier in ((second, first), (third, second)):
        assert published[run["parentSpanId"]]["parentSpanId"] == earlier["id"]
    assert seen == ["tenant=acme"] * 3


def test_the_span_of_a_link_of_a_chain_lasts_until_the_task_is_over(
    captured: Captured, here: Celery
) -> None:
    """DataDog/dd-trace-py#11479: Celery task_postrun is called only after the span has finished in
    chains
    """
    chain(here.signature("note"), here.signature("note"), app=here).apply_async()
    first, second = wait_for(captured, "run note", "run note")
    assert first["attributes"]["late"]
    assert second["attributes"]["late"]


def test_a_task_that_calls_another_stays_in_its_own_span(captured: Captured, here: Celery) -> None:
    """DataDog/dd-trace-py#11624: Handling of Celery root spans is broken"""
    here.send_task("call")
    (called, _) = wait_for(captured, "run call", "run note")
    assert called["attributes"]["celery.state"] == "SUCCESS"


def test_a_task_that_is_replaced_ends_without_an_error_and_without_a_word(
    captured: Captured, here: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """DataDog/dd-trace-py#17089: warning "no existing span found" when using Task.replace();
    getsentry/sentry-python#353: CeleryIntegration captures task Ignore exception
    """
    with caplog.at_level(logging.WARNING):
        here.send_task("replaced")
        (replaced, note) = wait_for(captured, "run replaced", "run note")
    assert (replaced["status"], replaced["attributes"]["celery.state"]) == ("unset", "IGNORED")
    assert note["traceId"] == replaced["traceId"]
    assert [record for record in caplog.records if record.name == "obswriter"] == []


def test_a_task_that_fails_is_the_parent_of_those_it_has_called(
    captured: Captured, here: Celery
) -> None:
    """DataDog/dd-trace-py#11272: handle upstream celery patch and propagation during an error"""
    here.send_task("call_and_fail")
    (failed, note) = wait_for(captured, "run call_and_fail", "run note")
    published = captured.one("span", name="publish note")
    assert (note["parentSpanId"], published["parentSpanId"]) == (published["id"], failed["id"])


def test_a_message_to_another_application_is_in_the_same_trace(
    captured: Captured, here: Celery
) -> None:
    """open-telemetry/opentelemetry-python-contrib#609: Celery publish from celery creating
    separate traces
    """
    here.send_task("call_another")
    (called,) = wait_for(captured, "run call_another")
    assert captured.one("span", name="publish elsewhere")["parentSpanId"] == called["id"]


def test_a_message_of_somebody_who_records_nothing_begins_a_trace(
    captured: Captured, here: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """open-telemetry/opentelemetry-python-contrib#2927: don't detach a None token"""
    seen.clear()
    with here.connection_for_write() as connection:
        body = [], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        queue = here.conf.task_default_queue
        connection.Producer().publish(body, routing_key=queue, headers={"task": "note", "id": "1"})
    with caplog.at_level(logging.WARNING):
        (run,) = wait_for(captured, "run note")
    assert "parentSpanId" not in run
    assert "celery.queue_time" not in run["attributes"]
    assert captured.one("trace")["id"] == run["traceId"]
    assert [record for record in caplog.records if record.name == "obswriter"] == []


def test_what_was_published_is_not_kept(captured: Captured, here: Celery) -> None:
    """getsentry/sentry-python#2034: Possible memory leak in Celery integration;
    getsentry/sentry-python#1980: Abnormal memory consumption in celery integration
    """
    gc.collect()
    before = [item for item in gc.get_objects() if type(item) is LiveSpan]
    for _ in range(50):
        with obswriter.span("request"):
            here.send_task("unheard of", queue="nobody listens")
    gc.collect()
    kept = [item for item in gc.get_objects() if type(item) is LiveSpan]
    assert [span for span in kept if span not in before] == []


def test_no_metric_keeps_anything_of_a_task(captured: Captured, here: Celery) -> None:
    """open-telemetry/opentelemetry-python-contrib#3458: a memory leak in current metrics
    generation
    """
    obswriter_celery.install(metrics=True)
    names = ["note", "call", "replaced"]
    for name in names:
        here.send_task(name)
    wait_for(captured, *(f"run {name}" for name in names), "run note", "run note")
    gc.collect()
    assert len(captured.events("metric", name="messaging.process.duration")) >= 5
    wait_until(lambda: not runs._running and not settlements._received)


def test_a_task_is_wrapped_in_nothing_however_often_it_is_built(captured: Captured) -> None:
    """getsentry/sentry-python#265: celery integration RecursionError"""
    with Celery("often", set_as_current=False) as app:

        @app.task(name="plain", shared=False)
        def plain() -> None:
            pass

        task = app.tasks["plain"]
        for _ in range(50):
            obswriter_celery.install()
            run = trace.build_tracer("plain", task, app=app)
        run("1", (), {}, {"id": "1", "is_eager": True})
    assert len(captured.events("span", name="run plain")) == 1
