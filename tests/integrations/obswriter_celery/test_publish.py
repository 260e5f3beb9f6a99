"""Messages: the span they are published in, and the headers that carry it."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals
from kombu.exceptions import OperationalError

import obswriter
import obswriter.testing
from obswriter import context
from obswriter_testsupport.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from obswriter.testing import Captured


def receive(app: Celery) -> Any:
    queue = app.conf.task_default_queue
    with app.connection_for_read() as connection, connection.SimpleQueue(queue) as messages:
        message = messages.get_nowait()
        message.ack()
        return message


def test_a_message_carries_the_id_of_its_producer_span(captured: Captured, memory: Celery) -> None:
    with obswriter.span("request") as request:
        result = memory.send_task("add", (1, 2))
        assert context.current() is request
    headers = receive(memory).headers
    span = captured.one("span", name="publish add")
    assert headers["traceparent"] == f"00-{span['traceId']}-{span['id']}-03"
    assert (span["parentSpanId"], span["traceId"]) == (request.id, request.trace_id)
    assert (span["spanKind"], span["status"]) == ("producer", "unset")
    assert span["attributes"] == {
        "messaging.system": "celery",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": memory.conf.task_default_queue,
        "messaging.message.id": result.id,
        "celery.task.name": "add",
        "celery.retries": 0,
    }


def test_the_destination_is_the_queue(captured: Captured, memory: Celery) -> None:
    memory.send_task("add", queue="urgent")
    attributes = captured.one("span")["attributes"]
    assert attributes["messaging.destination.name"] == "urgent"


def test_a_message_published_outside_any_span_begins_a_trace(
    captured: Captured, memory: Celery
) -> None:
    memory.send_task("add")
    assert captured.one("trace")["name"] == "publish add"


def test_a_callers_traceparent_counts_where_there_is_no_span(
    captured: Captured, memory: Celery
) -> None:
    memory.send_task("add", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    span = captured.one("span")
    assert (span["traceId"], span["parentSpanId"]) == ("a" * 32, "b" * 16)
    assert receive(memory).headers["traceparent"] == f"00-{'a' * 32}-{span['id']}-01"


def test_other_headers_are_left_alone_and_tracestate_goes_along(
    captured: Captured, memory: Celery
) -> None:
    sent = {"tenant": "7", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "x=1"}
    memory.send_task("add", headers=sent)
    headers = receive(memory).headers
    assert (headers["tenant"], headers["tracestate"]) == ("7", "x=1")
    assert sent["traceparent"].endswith(f"{'b' * 16}-01")


def test_the_headers_have_ordinary_json(captured: Captured, memory: Celery) -> None:
    memory.send_task("add")
    headers = receive(memory).headers
    assert json.loads(json.dumps(headers)) == headers
    assert list(headers).count("traceparent") == 1


def test_arguments_are_not_recorded(captured: Captured, memory: Celery) -> None:
    memory.send_task("login", ("sesame",), {"again": "sesame"})
    assert "sesame" not in str(captured.events())


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_message_that_is_not_published_leaves_a_failed_span_and_nothing_else(
    captured: Captured, installed: None, scheme: str
) -> None:
    """DataDog/dd-trace-py#10676: close `celery.apply` spans even without after_task_publish"""
    pytest.importorskip(scheme)
    broker = f"{scheme}://127.0.0.1:{free_port()}//"
    with Celery("down", set_as_current=False, broker=broker) as app:
        app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
        with obswriter.span("request") as request:
            # Not pytest.raises: it would keep the traceback, and with it the headers.
            with suppress(OperationalError):
                app.send_task("add", retry=False)
                pytest.fail("somebody listens on a free port")
            assert context.current() is request
        gc.collect()
        span = captured.one("span", name="publish add")
    assert span["status"] == "error"
    assert span["attributes"]["otel.status_description"] == "the message was not published"
    assert span["parentSpanId"] == request.id


def test_a_message_published_while_another_is_does_not_end_it(
    captured: Captured, memory: Celery
) -> None:
    def publish_another(sender: str, **_: object) -> None:
        if sender == "order":
            memory.send_task("audit")

    signals.before_task_publish.connect(publish_another, weak=False)
    try:
        memory.send_task("order")
    finally:
        signals.before_task_publish.disconnect(publish_another)
    order, audit = (captured.one("span", name=f"publish {n}") for n in ("order", "audit"))
    assert order["status"] == audit["status"] == "unset"
    assert order["startTime"] <= audit["startTime"]
    assert audit["endTime"] <= order["endTime"]


def test_another_tracer_that_replaces_the_header_does_not_make_the_message_look_lost(
    captured: Captured, memory: Celery
) -> None:
    def replace(headers: dict[str, str], **_: object) -> None:
        headers["traceparent"] = f"00-{'c' * 32}-{'d' * 16}-01"

    signals.before_task_publish.connect(replace, weak=False)
    try:
        memory.send_task("add")
    finally:
        signals.before_task_publish.disconnect(replace)
    assert captured.one("span")["status"] == "unset"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_headers_may_be_copied_by_whoever_hears_of_them(
    captured: Captured, memory: Celery, copied: Callable[[Any], Any]
) -> None:
    kept = []

    def keep(headers: dict[str, Any], **_: object) -> None:
        kept.append(copied(headers))

    signals.before_task_publish.connect(keep, weak=False)
    try:
        memory.send_task("add")
    finally:
        signals.before_task_publish.disconnect(keep)
    span = captured.one("span")
    assert span["status"] == "unset"
    assert kept[0]["traceparent"].split("-")[2] == span["id"]
    assert {type(name) for name in kept[0]} == {str}


def test_protocol_one_is_recorded_too(captured: Captured, memory: Celery) -> None:
    memory.conf.task_protocol = 1
    result = memory.send_task("add")
    span = captured.one("span")
    assert span["attributes"]["messaging.message.id"] == result.id
    assert receive(memory).headers["traceparent"].split("-")[2] == span["id"]


def test_a_disabled_writer_adds_no_header(memory: Celery) -> None:
    with obswriter.testing.capture(disabled=True):
        memory.send_task("add")
    assert "traceparent" not in receive(memory).headers
