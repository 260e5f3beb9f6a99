"""Values that users reported to have broken other handlers, and what becomes of them here."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_logging import ObservabilityHandler

if TYPE_CHECKING:
    from obswriter.testing import Captured


@pytest.fixture
def logger(captured: Captured) -> logging.Logger:
    logger = logging.Logger("values")  # noqa: LOG001 - none that other tests share
    logger.addHandler(ObservabilityHandler(template=True))
    return logger


def test_an_exception_may_be_the_message(captured: Captured, logger: logging.Logger) -> None:
    """open-telemetry/opentelemetry-python#4100: Exception: Invalid type when an exception is passed
    directly to logging handler, likewise open-telemetry/opentelemetry-python-contrib#2768;
    pydantic/logfire#176: TypeError: bad argument type for built-in operation;
    getsentry/sentry-python#4227: Exception is not JSON serializable
    """
    logger.error(ValueError("Test"))
    log = captured.one("log")
    assert (log["level"], log["message"]) == ("error", "Test")
    assert "exception.type" not in log["attributes"]


def test_an_exception_that_is_the_message_and_being_handled_is_both(
    captured: Captured, logger: logging.Logger
) -> None:
    """open-telemetry/opentelemetry-python#4409: logger.exception fails to serialize exceptions"""
    try:
        raise LookupError("no such order")
    except LookupError as error:
        logger.exception(error)
    log = captured.one("log")
    assert log["message"] == "no such order"
    assert log["attributes"]["exception.type"] == "LookupError"


def test_an_exception_may_hold_another_for_a_message(
    captured: Captured, logger: logging.Logger
) -> None:
    """open-telemetry/opentelemetry-python#4121: exceptions whose argument is an exception not a
    string message
    """
    try:
        raise ConnectionError(TimeoutError("max retries"))
    except ConnectionError:
        logger.exception("failed")
    assert captured.one("log")["attributes"]["exception.message"] == "max retries"


@pytest.mark.parametrize("exc_info", [False, None, 0, True, (None, None, None)])
def test_where_no_exception_is_handled_there_is_none(
    captured: Captured, logger: logging.Logger, exc_info: Any
) -> None:
    """open-telemetry/opentelemetry-python#2689: LoggingHandler panics when exc_info is set to
    False
    """
    logger.error("some message", exc_info=exc_info)
    log = captured.one("log")
    assert log["message"] == "some message"
    assert not [name for name in log["attributes"] if name.startswith("exception.")]


@pytest.mark.parametrize(
    "message",
    [
        {"name": "Kevin 'Brett\x00 Stakelin"},
        '{"name": "Kevin \\u0000 {nobody}"}',
        "100% {sure} %s %(too)s",
        ["a", "list"],
        b"bytes",
        None,
        7,
        "",
    ],
)
def test_any_message_without_arguments_is_taken_as_it_is(
    captured: Captured, logger: logging.Logger, message: Any
) -> None:
    """pydantic/logfire#902: Crash on bad json"""
    logger.info(message)
    log = captured.one("log")
    assert log["message"] == str(message)
    assert "obswriter.log.error" not in log["attributes"]


def test_arguments_may_be_a_mapping(captured: Captured, logger: logging.Logger) -> None:
    """getsentry/sentry-python#4267: of a dictionary only the keys were sent (the report that
    getsentry/sentry-python#4291 answers)
    """
    logger.info("order %(id)d", {"id": 7, "of": "acme"})
    log = captured.one("log")
    assert log["message"] == "order 7"
    assert log["attributes"]["obswriter.log.arguments"] == {"id": 7, "of": "acme"}


@pytest.mark.parametrize(
    "arguments",
    [("a",), (1, 2), (object(),), ({"a": 1}, 2)],
    ids=["type", "more", "object", "keys"],
)
def test_arguments_that_do_not_fit_are_kept(
    captured: Captured, logger: logging.Logger, arguments: tuple[Any, ...]
) -> None:
    """xente/loki-logger-handler#8: not all arguments converted during string formatting;
    logdna/python#13: LogDNAHandler.emit fails with non-keyword arguments
    """
    logger.info("only %d", *arguments)
    log = captured.one("log")
    assert log["message"] == "only %d"
    assert len(log["attributes"].get("obswriter.log.arguments", ())) == len(arguments)


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {"list": []}
    value["list"].append(value)
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(circular(), {"list": ["<circular reference>"]}, id="circular"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param(b"\xff\x00", None, id="bytes"),
        pytest.param({(1, 2): 3, None: 4}, {"[1,2]": 3, "null": 4}, id="keys"),
        pytest.param(2**200, None, id="large number"),
        pytest.param("\ud800", None, id="surrogate"),
        pytest.param({"extra": {"deep": {"er": [1]}}}, None, id="nested"),
    ],
)
def test_any_value_may_be_extra(
    captured: Captured, logger: logging.Logger, value: Any, expected: Any
) -> None:
    """Delgan/loguru#286: Circular Reference Detected when serializing log record;
    Delgan/loguru#1063: Invalid type dict for attribute 'extra' value;
    getsentry/sentry-python#1856: protect against bad serialization in logger statements
    """
    logger.info("x", extra={"value": value, "beside": 1})
    attributes = captured.one("log")["attributes"]
    assert attributes["beside"] == 1
    assert "value" in attributes
    assert json.loads(json.dumps(attributes)) == attributes
    if expected is not None:
        assert attributes["value"] == expected


def test_a_value_beyond_all_bounds_is_cut(captured: Captured, logger: logging.Logger) -> None:
    """getsentry/sentry-python#1856: it got logged with massive bytes payload"""
    logger.info("x", extra={"value": b"x" * 5_000_000, "beside": 1})
    log = captured.one("log")
    assert log["attributes"]["beside"] == 1
    assert len(json.dumps(log)) < 1_100_000


def test_a_recursion_without_end_has_a_stack_trace_with_one(
    captured: Captured, logger: logging.Logger
) -> None:
    """getsentry/sentry-python#2764: SDK stuck in processing RecursionError events"""

    def again(number: int) -> int:
        return again(number)

    try:
        again(1)
    except RecursionError:
        logger.exception("too deep")
    stack = captured.one("log")["attributes"]["exception.stacktrace"]
    assert stack.count("in again") < 10
    assert "RecursionError" in stack
