"""Rate limits and sampling per logger."""

from __future__ import annotations

import logging
import logging.config
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_logging import ObservabilityHandler

if TYPE_CHECKING:
    from obswriter.testing import Captured


def record(name: str, level: int = logging.INFO, message: str = "x") -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "levelno": level, "msg": message})


def dropped(captured: Captured) -> dict[str, int]:
    stats = captured.writer.get_stats()
    return {reason: n for reason, n in stats.dropped["log"].items() if n}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.25, monotonic=lambda: clock.now)
    monkeypatch.setattr("obswriter_logging.limits.time", clock)
    return clock


def test_so_many_records_a_second_are_kept_and_the_others_counted(
    captured: Captured, clock: SimpleNamespace
) -> None:
    handler = ObservabilityHandler(rate_limits={"noisy": 2})
    for _ in range(5):
        handler.handle(record("noisy"))
    clock.now += 1
    handler.handle(record("noisy", message="next second"))
    assert [log["message"] for log in captured.events("log")] == ["x", "x", "next second"]
    assert dropped(captured) == {"rate_limited": 3}


def test_a_limit_is_for_the_loggers_below_too_and_a_nearer_one_counts(
    captured: Captured, clock: SimpleNamespace
) -> None:
    limits = {"shop": 1, "shop.orders": 3, "": 0}
    handler = ObservabilityHandler(rate_limits=limits)
    for name in ("shop.web", "shop.cart", "shop.orders.paid", "shop.orders", "shopping", "root"):
        handler.handle(record(name))
    kept = [log["attributes"]["logger.name"] for log in captured.events("log")]
    assert kept == ["shop.web", "shop.orders.paid", "shop.orders"]


def test_without_a_limit_for_it_a_logger_has_none(captured: Captured) -> None:
    handler = ObservabilityHandler(rate_limits={"other": 0}, sample_rates={"other": 0})
    handler.handle(record("mine"))
    assert captured.one("log")["message"] == "x"


def test_of_a_trace_all_records_are_kept_or_none(captured: Captured) -> None:
    handler = ObservabilityHandler(sample_rates={"chatty": 0.5})
    for _ in range(200):
        with obswriter.span("request"):
            for _ in range(3):
                handler.handle(record("chatty"))
    logs = captured.events("log")
    traces = {log["traceId"] for log in logs}
    assert len(logs) == 3 * len(traces)
    assert 40 < len(traces) < 160  # 100 ± 8.5 standard deviations
    assert all(int(trace[-14:], 16) >= 0x80000000000000 for trace in traces)
    assert dropped(captured) == {"sampled_out": 600 - len(logs)}


def test_outside_a_trace_a_share_is_drawn_and_warnings_are_kept(captured: Captured) -> None:
    handler = ObservabilityHandler(sample_rates={"chatty": 0})
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL):
        handler.handle(record("chatty", level))
    assert [log["level"] for log in captured.events("log")] == ["warn", "fatal"]
    handler = ObservabilityHandler(sample_rates={"chatty": 1})
    handler.handle(record("chatty", message="all"))
    assert captured.one("log", message="all")


def test_a_record_left_out_is_not_formatted(captured: Captured) -> None:
    class Fails:
        def __str__(self) -> str:
            raise AssertionError("formatted for nobody")

    handler = ObservabilityHandler(rate_limits={"": 0})
    handler.handle(logging.makeLogRecord({"name": "n", "msg": Fails()}))
    assert captured.events("log") == []


def test_a_trace_id_of_somebody_elses_making_is_no_error(captured: Captured) -> None:
    from obswriter import context

    handler = ObservabilityHandler(sample_rates={"": 0.5})
    odd: Any = SimpleNamespace(trace_id="payment", id="17", trace_flags=1)
    context.attach(odd)
    try:
        handler.handle(record("n"))
    finally:
        context.attach(None)
    assert captured.one("log")["message"] == "x"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate_limits": {"noisy": "many"}}, "rate_limits must .* 'noisy': 'many'"),
        ({"rate_limits": {"noisy": -1}}, "records a second, 0 or more; got 'noisy': -1"),
        ({"rate_limits": {"noisy": True}}, "got 'noisy': True"),
        ({"sample_rates": {"chatty": 1.5}}, "a share from 0 to 1; got 'chatty': 1.5"),
        ({"sample_rates": {None: 0.5}}, "for the name of a logger, .* got None"),
        ({"sample_rates": {"n": float("nan")}}, "a share from 0 to 1; got 'n': nan"),
    ],
)
def test_a_wrong_limit_is_said_where_it_was_written(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ObservabilityHandler(**options)


def test_a_limit_that_names_no_logger_is_refused() -> None:
    with pytest.raises(TypeError, match=r"rate_limits must be a mapping of logger names .* got 5"):
        ObservabilityHandler(rate_limits=5)  # type: ignore[arg-type]


def test_dictconfig_takes_the_limits(captured: Captured) -> None:
    handler = {
        "class": "obswriter_logging.ObservabilityHandler",
        "rate_limits": {"limited": 0},
        "sample_rates": {"sampled": 0},
    }
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"obswriter": handler},
        "loggers": {
            name: {"handlers": ["obswriter"], "level": "INFO"}
            for name in ("limited", "sampled", "free")
        },
    }
    logging.config.dictConfig(configuration)
    try:
        for name in configuration["loggers"]:
            logging.getLogger(name).info("x")
        assert captured.one("log")["attributes"]["logger.name"] == "free"
        assert dropped(captured) == {"rate_limited": 1, "sampled_out": 1}
    finally:
        for name in ("limited", "sampled", "free"):
            logging.getLogger(name).handlers.clear()
