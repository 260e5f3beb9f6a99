"""The trace goes along whatever a message looks like: both protocols, every serializer."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from celery import Celery

import obswriter
from obswriter.propagation import get_baggage, set_baggage
from obswriter_testsupport.celery_workers import working_here
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from obswriter.testing import Captured

SERIALIZERS = ["json", "pickle", *(name for name in ("yaml", "msgpack") if find_spec(name))]


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_run_is_in_its_publishers_trace_with_any_serializer(
    captured: Captured, memory: Celery, protocol: int
) -> None:
    """open-telemetry/opentelemetry-python-contrib#784: Celery instrument didn't propagate baggage;
    getsentry/sentry-python#2372: `app.send_task()` doesn't propagate trace;
    getsentry/sentry-python#824: Trace propagation is broken under Celery 4.4;
    getsentry/sentry#20996: with protocol 1, neither
    """
    tenants = {}

    @memory.task(name="note")
    def note(serializer: str) -> None:
        tenants[serializer] = get_baggage()

    queue = memory.conf.task_default_queue
    with working_here(memory), Celery("p", set_as_current=False, broker="memory://") as publisher:
        publisher.conf.update(task_protocol=protocol, task_default_queue=queue)
        with obswriter.span("request") as request:
            set_baggage("tenant", "acme")
            for name in SERIALIZERS:
                publisher.send_task("note", (name,), serializer=name)
        wait_until(lambda: len(captured.events("span", name="run note")) == len(SERIALIZERS))
    assert tenants == {name: {"tenant": "acme"} for name in SERIALIZERS}
    published = {span["id"]: span for span in captured.events("span", name="publish note")}
    for run in captured.events("span", name="run note"):
        above = published.pop(run["parentSpanId"])
        assert run["traceId"] == above["traceId"] == request.trace_id
        assert above["parentSpanId"] == request.id
        assert run["attributes"]["celery.queue_time"] >= 0
        sent, came = (span["attributes"]["messaging.message.id"] for span in (above, run))
        assert sent == came
