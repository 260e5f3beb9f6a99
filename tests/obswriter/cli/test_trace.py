"""``trace`` draws the tree of a trace from the files of all who took part."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import obswriter
from obswriter.cli.screen import Screen
from obswriter.cli.tree import BAR_WIDTH, Tree, show_trace
from obswriter.propagation import format_traceparent, parse_traceparent
from obswriter.testing import Captured


def tree_part(line: str) -> str:
    return line[BAR_WIDTH + 2 :]


def test_spans_logs_and_exceptions_stand_below_their_spans(cli, captured: Captured) -> None:
    with obswriter.trace("checkout", input={"cart": 7}) as trace:
        with obswriter.span("load", kind="client") as load:
            load.add_event("retry")
            obswriter.log("info", "loading")
        with pytest.raises(ValueError, match="declined"), obswriter.span("pay"):
            raise ValueError("declined")
        obswriter.log("error", "no payment")
        obswriter.metric("amount", 12.5, unit="EUR")
        obswriter.score("quality", 0.5)
    result = cli("trace", trace.trace_id, "--storage", captured.root)
    assert result.status == 0
    assert result.lines[0].startswith("checkout  ")
    assert trace.trace_id in result.lines[0]
    assert result.lines[1:3] == ["3 spans, 1 local root", 'input: {"cart":7}']
    drawn = [" ".join(tree_part(line).split()) for line in result.lines[3:]]
    shape = [line for line in drawn if " ms" not in line and " µs" not in line]
    assert shape == [
        "│ ├─ event retry",
        "│ └─ info loading",
        "│ └─ exception ValueError: declined",
        "├─ error no payment",
        "├─ metric amount = 12.5 EUR",
        "└─ score quality = 0.5",
    ]
    spans = [line for line in drawn if line not in shape]
    assert [line.split()[:2] for line in spans[1:]] == [["├─", "load"], ["├─", "pay"]]
    assert spans[0].startswith("checkout")
    assert spans[1].endswith("client")
    assert spans[2].endswith("error")


def test_a_trace_is_known_by_its_header_and_by_an_id_in_capitals(cli, captured: Captured) -> None:
    with obswriter.span("checkout") as span:
        header = format_traceparent(span)
    with obswriter.span("another"):
        pass
    for id in (header, span.trace_id.upper(), span.trace_id.upper()[:20]):
        result = cli("trace", id, "--storage", captured.root)
        assert (result.status, result.lines[0].split()[0]) == (0, "checkout")


def test_parts_of_other_processes_join_the_tree(cli, captured: Captured) -> None:
    with obswriter.span("GET /", kind="server") as web:
        header = format_traceparent(web)
    other = obswriter.ObservabilityWriter(
        file_storage=captured.root, project_id="worker", flush_interval_ms=0
    )
    context = parse_traceparent(header)
    assert context is not None
    times = {"start_time": 1_700_000_000_000_000_000, "end_time": 1_700_000_001_000_000_000}
    other.record_trace({"id": web.trace_id, "name": "task", **times})
    other.record_span(
        {"name": "task", "trace_id": web.trace_id, "parent_span_id": context.id, **times}
    )
    other.shutdown()
    lines = cli("trace", web.trace_id, "--storage", captured.root).lines
    assert lines[1] == "2 spans, 2 local roots"
    assert [tree_part(line).split("  ")[0] for line in lines[2:]] == ["GET /", "└─ task"]


def test_the_beginning_of_an_id_is_enough_when_it_is_unique(cli, captured: Captured) -> None:
    with obswriter.trace("t") as trace:
        pass
    result = cli("trace", trace.trace_id[:12], "--storage", captured.root)
    assert (result.status, trace.trace_id in result.out) == (0, True)


def record_traces(*ids: str) -> None:
    writer = obswriter.get_writer()
    for trace_id in ids:
        writer.record_trace({"id": trace_id, "name": "t", "start_time": 0, "end_time": 1})


def test_an_ambiguous_beginning_lists_the_candidates(cli, captured: Captured) -> None:
    record_traces("abc1", "abc2", "xyz")
    result = cli("trace", "abc", "--storage", captured.root)
    assert (result.status, result.out) == (2, "")
    assert "2 traces begin with 'abc': abc1, abc2; give more of the id" in result.err


def test_a_whole_id_is_unique_even_where_others_begin_with_it(cli, captured: Captured) -> None:
    record_traces(*(f"run-1{number}" for number in range(50)), "run-1")
    result = cli("trace", "run-1", "--json", "--storage", captured.root)
    assert [event["id"] for event in result.json] == ["run-1"]


def test_an_id_with_quotes_is_found(cli, captured: Captured) -> None:
    record_traces('say "hi"\\')
    assert cli("trace", 'say "h', "--storage", captured.root).status == 0


def test_an_unknown_id_says_where_to_find_some(cli, captured: Captured) -> None:
    result = cli("trace", "feed", "--storage", captured.root)
    assert result.status == 2
    assert "'feed'" in result.err
    assert "obswriter tail --type trace" in result.err


def test_json_gives_every_event_of_the_trace_and_no_other(cli, captured: Captured) -> None:
    with obswriter.trace("other"):
        pass
    with obswriter.trace("wanted") as trace:
        obswriter.log("info", f"mentions {trace.trace_id}")
        obswriter.metric("m", 1)
    obswriter.log("info", f"outside, mentions {trace.trace_id}")
    events = cli("trace", trace.trace_id, "--json", "--storage", captured.root).json
    assert sorted(event["type"] for event in events) == ["log", "metric", "span", "trace"]


def test_a_trace_not_stored_yet_is_found(cli, captured: Captured) -> None:
    with obswriter.trace("open") as trace:
        pass
    assert not list(captured.root.glob("observability/trace/*/*.jsonl"))
    assert cli("trace", trace.trace_id, "--storage", captured.root).status == 0


def span(id: str, parent: str | None = None, **fields: object) -> dict[str, object]:
    wire = {"type": "span", "id": id, "traceId": "t", "name": id, **fields}
    return wire if parent is None else {**wire, "parentSpanId": parent}


def names(events: list[dict[str, object]]) -> list[str]:
    lines = [[text for text, _ in parts] for parts in Tree(events).lines()]
    return [next(text for text in line[1:] if text.strip("├─│└· ")) for line in lines]


def test_every_span_is_drawn_once_whatever_its_parents_say() -> None:
    cycle = [span("a", "b"), span("b", "a"), span("self", "self"), span("lost", "nobody")]
    assert sorted(names(cycle)) == ["a", "b", "lost", "self"]
    twins = [span("x"), span("x"), span("child", "x")]
    assert sorted(names(twins)) == ["child", "x", "x"]


def test_a_deep_trace_is_drawn() -> None:
    depth = 2 * sys.getrecursionlimit()
    chain = [span(str(n), str(n - 1) if n else None) for n in range(depth)]
    assert len(list(Tree(chain).lines())) == depth


def test_fields_of_other_kinds_do_not_break_the_tree(capsys) -> None:
    odd = [
        {"type": "span", "id": None, "name": None, "startTime": 5, "events": "none"},
        {"type": "span", "traceId": 3, "startTime": "2026", "endTime": [], "attributes": 1},
        {"type": "log", "spanId": ["x"], "message": None},
        {"type": "metric", "value": "high", "name": {}},
        {"type": "trace"},
    ]
    show_trace(Screen(), odd)
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_trace_with_a_failed_span_has_failed_though_its_root_has_not(
    cli, captured: Captured
) -> None:
    with obswriter.trace("publish") as trace:
        pass
    dead = {"obswriter.outcome": "process_died"}
    start, end = "2026-01-23T12:00:00Z", "2026-01-23T12:00:01Z"
    captured.writer.record_span(
        obswriter.Span(
            trace_id=trace.trace_id, name="run", start_time=start, end_time=end, status="error",
            attributes=dead,
        )
    )  # fmt: skip
    heading, *rest = cli("trace", trace.trace_id, "--storage", captured.root).lines
    assert "  error  " in heading
    assert any("run  process died" in line for line in rest)


def test_a_trace_of_logs_alone_has_its_id(cli, captured: Captured) -> None:
    captured.writer.record_log({"level": "info", "message": "m", "trace_id": "order-7"})
    captured.writer.flush()
    assert cli("trace", "order", "--storage", captured.root).lines[0].endswith("order-7")


def test_where_the_encoding_has_no_lines_the_tree_is_drawn_with_letters(
    captured: Captured, start
) -> None:
    with obswriter.trace("checkout") as trace, obswriter.span("pay"):
        pass
    captured.writer.flush()
    arguments = "-m", "obswriter", "trace", trace.trace_id, "--storage", captured.root
    ended = start(*arguments, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ended.process.wait(20) == 0
    assert "?" not in ended.out
    assert "`- pay" in ended.out
    assert "#" in ended.out


def test_a_file_that_may_not_be_read_is_named_and_the_others_are_shown(
    cli, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with obswriter.trace("checkout") as trace:
        obswriter.log("info", "m")
    captured.writer.flush()
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if "/log/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    result = cli("trace", trace.trace_id, "--storage", captured.root)
    assert result.status == 1
    assert "1 file skipped: [Errno 13] Permission denied" in result.err
    assert "checkout" in result.out
