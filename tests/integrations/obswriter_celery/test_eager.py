"""Tasks that run in the process that calls them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from celery.exceptions import Ignore, Reject

import obswriter
import obswriter.testing
import obswriter_celery
from obswriter import context
from obswriter_logging import ObservabilityHandler

if TYPE_CHECKING:
    from celery import Celery

    from obswriter.testing import Captured


def test_a_task_has_a_span_of_its_run_and_none_of_a_message(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    result = add.delay(1, 2)
    assert result.get() == 3
    span = captured.one("span")
    assert (span["name"], span["spanKind"], span["status"]) == ("run add", "consumer", "unset")
    assert span["attributes"] == {
        "messaging.system": "celery",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.message.id": result.id,
        "celery.task.name": "add",
        "celery.state": "SUCCESS",
        "celery.retries": 0,
    }
    assert captured.one("trace")["id"] == span["traceId"]


def test_arguments_and_results_are_not_recorded(captured: Captured, eager: Celery) -> None:
    @eager.task(name="login")
    def login(password: str) -> str:
        return password.upper()

    login.delay(password="sesame")
    assert "sesame" not in str(captured.events()).lower()


def test_arguments_and_results_are_recorded_on_request_by_name_and_as_they_were(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="login")
    def login(user: str, password: str, *roles: str, **more: list[int]) -> dict[str, str]:
        more["numbers"].clear()
        return {"token": "sesame", "user": user * 300}

    obswriter_celery.install(arguments=True, results=True)
    login.delay("anna", "sesame", "clerk", numbers=[1, 2])
    attributes = captured.one("span")["attributes"]
    assert attributes["celery.task.arguments"] == {
        "user": "anna",
        "password": "REDACTED",
        "roles": ["clerk"],
        "more": {"numbers": [1, 2]},
    }
    result = attributes["celery.task.result"]
    assert result["token"] == "REDACTED"
    assert result["user"] == "anna" * 256 + "…[cut 176 of 1200]"


def test_arguments_that_do_not_fit_are_recorded_as_they_are(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="narrow", typing=False)
    def narrow() -> None:
        pass

    obswriter_celery.install(arguments=True)
    narrow.delay(1, extra=2)
    attributes = captured.one("span")["attributes"]
    assert attributes["celery.task.arguments"] == {"args": [1], "kwargs": {"extra": 2}}
    assert attributes["error.type"] == "TypeError"


def test_each_run_is_measured_on_request(captured: Captured, eager: Celery) -> None:
    @eager.task(name="fail")
    def fail() -> None:
        raise LookupError

    obswriter_celery.install(metrics=True)
    fail.delay()
    metric = captured.one("metric")
    assert (metric["name"], metric["unit"]) == ("messaging.process.duration", "s")
    assert metric["value"] > 0
    assert metric["attributes"] == {
        "messaging.system": "celery",
        "messaging.operation.name": "run",
        "celery.task.name": "fail",
        "celery.state": "FAILURE",
        "error.type": "LookupError",
    }


def test_a_task_called_within_a_span_is_below_it(captured: Captured, eager: Celery) -> None:
    @eager.task(name="work")
    def work() -> None:
        pass

    with obswriter.span("outer") as outer:
        work.delay()
        assert context.current() is outer
    assert captured.one("span", name="run work")["parentSpanId"] == outer.id
    assert captured.one("trace")["name"] == "outer"


def test_nested_tasks_are_nested_spans(captured: Captured, eager: Celery) -> None:
    @eager.task(name="inner")
    def inner() -> None:
        obswriter.log("info", "in inner")

    @eager.task(name="outer")
    def outer() -> None:
        inner.delay()
        obswriter.log("info", "in outer")

    outer.delay()
    above, below = (captured.one("span", name=f"run {name}") for name in ("outer", "inner"))
    assert below["parentSpanId"] == above["id"]
    assert captured.one("log", message="in inner")["spanId"] == below["id"]
    assert captured.one("log", message="in outer")["spanId"] == above["id"]
    assert context.current() is None


def test_a_task_calling_itself_has_a_span_for_each_call(captured: Captured, eager: Celery) -> None:
    @eager.task(name="count")
    def count(number: int) -> None:
        if number:
            count.delay(number - 1)

    count.delay(2)
    first, second, third = sorted(captured.events("span"), key=lambda span: span["startTime"])
    assert "parentSpanId" not in first
    assert [second["parentSpanId"], third["parentSpanId"]] == [first["id"], second["id"]]


@pytest.mark.parametrize("propagates", [False, True])
def test_a_failure_is_recorded_with_its_exception(
    captured: Captured, eager: Celery, propagates: bool
) -> None:
    eager.conf.task_eager_propagates = propagates

    @eager.task(name="fail")
    def fail() -> None:
        raise LookupError("no such order")

    if propagates:
        with pytest.raises(LookupError):
            fail.delay()
    else:
        fail.delay()
    span = captured.one("span")
    assert span["status"] == "error"
    assert span["attributes"]["error.type"] == "LookupError"
    assert span["attributes"].get("celery.state") == (None if propagates else "FAILURE")
    (event,) = span["events"]
    assert event["attributes"]["exception.message"] == "no such order"
    assert "raise LookupError" in event["attributes"]["exception.stacktrace"]
    assert captured.one("trace")["status"] == "error"
    assert context.current() is None


def test_each_attempt_has_a_span_with_its_number(captured: Captured, eager: Celery) -> None:
    @eager.task(name="flaky", bind=True, max_retries=3)
    def flaky(self: Any) -> None:
        if self.request.retries < 2:
            raise self.retry(exc=ConnectionError("busy"), countdown=0)

    flaky.delay()
    spans = {span["attributes"]["celery.retries"]: span for span in captured.events("span")}
    states = {number: span["attributes"]["celery.state"] for number, span in spans.items()}
    assert states == {0: "RETRY", 1: "RETRY", 2: "SUCCESS"}
    assert {span["traceId"] for span in spans.values()} == {spans[0]["traceId"]}
    assert [spans[number]["status"] for number in range(3)] == ["unset"] * 3
    assert spans[1]["attributes"]["celery.retry.reason"] == "ConnectionError('busy')"
    assert spans[1]["events"][0]["attributes"]["exception.type"] == "ConnectionError"


def test_a_retry_without_an_exception_has_a_reason_too(captured: Captured, eager: Celery) -> None:
    @eager.task(name="later", bind=True)
    def later(self: Any) -> None:
        if not self.request.retries:
            raise self.retry(countdown=0)

    later.delay()
    first = next(s for s in captured.events("span") if not s["attributes"]["celery.retries"])
    assert first["attributes"]["celery.retry.reason"].startswith("Retry in 0")
    assert "events" not in first


def test_what_a_task_says_it_throws_is_no_error(captured: Captured, eager: Celery) -> None:
    @eager.task(name="find", throws=(LookupError,))
    def find() -> None:
        raise KeyError("no such order")

    find.delay()
    span = captured.one("span")
    assert (span["status"], span["attributes"]["celery.state"]) == ("unset", "FAILURE")
    assert "error.type" not in span["attributes"]
    assert span["events"][0]["attributes"]["exception.type"] == "KeyError"


@pytest.mark.parametrize(("outcome", "state"), [(Ignore, "IGNORED"), (Reject, "REJECTED")])
def test_a_task_that_is_ignored_or_rejected_says_so(
    captured: Captured, eager: Celery, outcome: type[Exception], state: str
) -> None:
    @eager.task(name="picky")
    def picky() -> None:
        raise outcome

    picky.delay()
    span = captured.one("span")
    assert (span["attributes"]["celery.state"], span["status"]) == (state, "unset")


def test_an_exception_celery_does_not_handle_ends_the_span_too(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="leave")
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leave.delay()
    span = captured.one("span")
    assert span["attributes"]["obswriter.ended_by"] == "SystemExit"
    assert context.current() is None


def test_an_exception_that_is_being_handled_where_a_task_is_called_is_not_the_tasks(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="clean")
    def clean() -> None:
        pass

    try:
        raise ValueError
    except ValueError:
        clean.delay()
    assert captured.one("span")["status"] == "unset"


def test_a_span_the_task_left_open_is_not_the_current_one_afterwards(
    captured: Captured, eager: Celery
) -> None:
    @eager.task(name="careless")
    def careless() -> None:
        obswriter.span("left open").__enter__()

    careless.delay()
    assert context.current() is None
    assert captured.one("span")["name"] == "run careless"


def test_a_task_joins_the_trace_its_headers_name(captured: Captured, eager: Celery) -> None:
    @eager.task(name="work")
    def work() -> None:
        pass

    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    work.apply(headers={"traceparent": parent})
    span = captured.one("span")
    assert (span["traceId"], span["parentSpanId"]) == ("a" * 32, "b" * 16)


def test_celerys_own_logs_of_a_task_belong_to_it(captured: Captured, eager: Celery) -> None:
    @eager.task(name="fail")
    def fail() -> None:
        raise LookupError

    logger = logging.getLogger("celery.app.trace")
    handler = ObservabilityHandler()
    logger.addHandler(handler)
    try:
        fail.delay()
    finally:
        logger.removeHandler(handler)
    assert captured.one("log", level="error")["spanId"] == captured.one("span")["id"]


def test_a_disabled_writer_does_not_change_a_task(eager: Celery) -> None:
    @eager.task(name="work")
    def work() -> object:
        return context.current()

    with obswriter.testing.capture(disabled=True) as captured:
        assert work.delay().get() is None
    assert captured.events() == []
