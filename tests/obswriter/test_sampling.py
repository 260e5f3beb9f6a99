"""Which traces' spans are recorded where not all are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import obswriter
import obswriter.testing
from obswriter.propagation import RANDOM, SAMPLED, SpanContext

if TYPE_CHECKING:
    from obswriter.testing import Captured

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def names(captured: Captured) -> list[str]:
    return sorted(span["name"] for span in captured.events("span"))


def caller(flags: int) -> SpanContext:
    return SpanContext(TRACE, PARENT, flags)


def test_a_share_of_the_traces_is_recorded_whole_and_the_rest_counted() -> None:
    with obswriter.testing.capture(sample_rate=0.5) as captured:
        for _ in range(200):
            with obswriter.span("request"), obswriter.span("query"):
                obswriter.log("info", "x")
        spans, traces = captured.events("span"), captured.events("trace")
        kept = {trace["id"] for trace in traces}
        assert 60 < len(kept) < 140  # 100 ± 5.6 standard deviations
        assert {span["traceId"] for span in spans} == kept
        assert len(spans) == 2 * len(kept)
        assert len(captured.events("log")) == 200
        dropped = captured.writer.get_stats().dropped
        assert dropped["span"] == {"sampled_out": 400 - len(spans)}
        assert dropped["trace"] == {"sampled_out": 200 - len(kept)}


@given(trace_id=st.integers(1, 2**128 - 1), rates=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_services_with_different_rates_agree_on_the_traces_the_lower_keeps(
    trace_id: int, rates: tuple[float, float]
) -> None:
    keeps = []
    for rate in sorted(rates):
        writer = obswriter.ObservabilityWriter(
            file_storage="unused", project_id="p", sample_rate=rate
        )
        keeps.append(writer.flags_of_new_trace(f"{trace_id:032x}") & SAMPLED)
        writer.shutdown()
    assert keeps[0] <= keeps[1]


@pytest.mark.parametrize(
    ("flags", "recorded"), [(SAMPLED | RANDOM, ["query", "request"]), (RANDOM, []), (0, [])]
)
def test_a_callers_flag_decides_whatever_the_rate_says(flags: int, recorded: list[str]) -> None:
    with obswriter.testing.capture(sample_rate=0.999999 if not flags & 1 else 0) as captured:
        with obswriter.span("request", parent=caller(flags)), obswriter.span("query"):
            carrier: dict[str, Any] = {}
            obswriter.propagation.inject(carrier)
        assert names(captured) == recorded
        assert carrier["traceparent"].endswith(f"-{flags:02x}")


def test_without_sampling_a_callers_flag_leaves_nothing_out(captured: Captured) -> None:
    with obswriter.span("request", parent=caller(0)):
        pass
    assert names(captured) == ["request"]


def test_who_is_called_learns_that_a_trace_is_left_out() -> None:
    with obswriter.testing.capture(sample_rate=0), obswriter.span("request"):
        carrier: dict[str, str] = {}
        obswriter.propagation.inject(carrier)
        assert carrier["traceparent"].endswith("-02")


@obswriter.span("failed")
def fail_in_the_end() -> None:
    with obswriter.span("fine"):
        pass
    raise LookupError


def test_errors_are_kept_on_request() -> None:
    for sample_errors, recorded in ((True, ["failed", "request"]), (False, [])):
        options = {"sample_rate": 0, "sample_errors": sample_errors}
        with obswriter.testing.capture(**options) as captured:
            with pytest.raises(LookupError), obswriter.span("request"):
                fail_in_the_end()
            assert names(captured) == recorded
            assert len(captured.events("trace")) == len(recorded[:1])


def test_what_is_recorded_directly_is_always_recorded() -> None:
    with obswriter.testing.capture(sample_rate=0) as captured:
        moment = "2026-01-23T12:00:00Z"
        captured.writer.record_span(
            {"traceId": TRACE, "name": "x", "startTime": moment, "endTime": moment}
        )
        assert names(captured) == ["x"]


@pytest.mark.parametrize("rate", [-0.1, 1.1, True, "half", float("nan")])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(
        obswriter.ConfigurationError, match="sample_rate must be a number from 0 to"
    ):
        obswriter.ObservabilityWriter(file_storage="x", project_id="p", sample_rate=rate)


@pytest.mark.parametrize(("text", "rate"), [("0.25", 0.25), ("1", 1.0), (".5", 0.5), ("1e-1", 0.1)])
def test_a_variable_sets_the_rate(monkeypatch: pytest.MonkeyPatch, text: str, rate: float) -> None:
    monkeypatch.setenv("OBSWRITER_SAMPLE_RATE", text)
    writer = obswriter.ObservabilityWriter(file_storage="unused", project_id="p")
    assert writer.config.sample_rate == rate
    writer.shutdown()


@pytest.mark.parametrize("text", ["half", "1,5", "nan", "-1"])
def test_a_variable_that_is_no_rate_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OBSWRITER_SAMPLE_RATE", text)
    with pytest.raises(obswriter.ConfigurationError, match=r"(?i)sample_rate must be a number"):
        obswriter.ObservabilityWriter(file_storage="unused", project_id="p")
