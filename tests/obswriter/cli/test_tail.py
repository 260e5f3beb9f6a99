"""``tail`` shows the last events, and each new one once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import obswriter
from obswriter.cli import reading
from obswriter.cli.follow import Seen
from obswriter.testing import Captured
from obswriter_testsupport.wait import wait_until

RECORDER = """
import sys
import obswriter
obswriter.configure(file_storage=sys.argv[1], project_id="test", flush_interval_ms=0)
for line in sys.stdin:
    command, _, text = line.strip().partition(" ")
    if command == "log":
        obswriter.log("info", text)
    elif command == "flush":
        obswriter.flush()
    print(line, end="", flush=True)
"""


class Recorder:
    """Another process, which records what it is told."""

    def __init__(self, start, root: Path) -> None:
        self._program = start("-c", RECORDER, root, stdin=subprocess.PIPE)
        self.process = self._program.process

    def tell(self, command: str) -> None:
        before = self._program.out.count("\n")
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        wait_until(lambda: self._program.out.count("\n") > before, message=command)


def messages(text: str) -> list[str]:
    return [json.loads(line)["message"] for line in text.splitlines()]


def test_the_last_events_come_oldest_first(cli, captured: Captured) -> None:
    for number in range(30):
        obswriter.log("info", f"message {number}")
    captured.writer.flush()
    result = cli("tail", "-n", "3", "--json", "--storage", captured.root)
    assert messages(result.out) == ["message 27", "message 28", "message 29"]
    assert result.err == ""


def test_twenty_is_the_default(cli, captured: Captured) -> None:
    for number in range(30):
        obswriter.log("info", f"message {number}")
    assert len(cli("tail", "--storage", captured.root).lines) == 20


def test_the_last_events_are_right_across_files_begun_in_another_order(
    cli, captured: Captured
) -> None:
    other = obswriter.ObservabilityWriter(
        file_storage=captured.root, project_id="other", flush_interval_ms=0
    )
    other.record_log({"level": "info", "message": "first of the older file"})
    obswriter.log("info", "the younger file")
    captured.writer.flush()
    other.record_log({"level": "info", "message": "last of the older file"})
    other.shutdown()
    result = cli("tail", "-n", "2", "--json", "--storage", captured.root)
    assert messages(result.out) == ["the younger file", "last of the older file"]


def test_files_that_cannot_hold_a_newer_event_are_not_read(
    cli, tmp_path, write_file, monkeypatch
) -> None:
    for day in range(1, 29):
        file = write_file(
            tmp_path, f"202601{day:02d}T000000Z", timestamp=f"2026-01-{day:02d}T00:00:00.000000Z"
        )
        moment = 1767225600 + (day - 1) * 86400
        os.utime(file, (moment, moment))
    read: list[str] = []
    original = reading.Reader._read

    def note_read(self, file):
        read.append(file.info.path)
        return original(self, file)

    monkeypatch.setattr(reading.Reader, "_read", note_read)
    result = cli("tail", "-n", "2", "--json", "--storage", tmp_path)
    assert [event["id"][:8] for event in result.json] == ["20260127", "20260128"]
    assert len(read) == 2


def test_type_and_level_narrow_what_is_shown(cli, captured: Captured) -> None:
    with obswriter.trace("t"):
        for level in ("debug", "info", "warn", "error", "fatal"):
            obswriter.log(level, level)
    obswriter.metric("m", 1)
    where = ("--json", "--storage", captured.root)
    for level in ("warn", "WARNING"):
        assert messages(cli("tail", "--level", level, *where).out) == ["warn", "error", "fatal"]
    kinds = cli("tail", "--type", "span", "--type", "metric", *where).json
    assert [event["type"] for event in kinds] == ["span", "metric"]


def test_a_line_has_time_type_state_trace_and_text(cli, captured: Captured) -> None:
    with obswriter.trace("checkout") as trace:
        trace.set_status("error")
        obswriter.log("warn", "low\nstock \x1b[2J")
    obswriter.metric("queue.length", 12, unit="1")
    log, span, metric = cli(
        "tail", "--storage", captured.root, "--type", "log", "--type", "span", "--type", "metric"
    ).lines
    assert log.split()[2:] == ["log", "warn", trace.trace_id[:8], "low\\nstock", "\\x1b[2J"]
    assert span.split()[2:4] == ["span", "error"]
    assert span.split()[-2:] == [trace.trace_id[:8], "checkout"]
    assert metric.split()[2:] == ["metric", "12", "1", "queue.length"]


def test_events_not_stored_yet_are_shown_too(cli, captured: Captured) -> None:
    obswriter.log("info", "stored")
    captured.writer.flush()
    obswriter.log("info", "open")
    assert messages(cli("tail", "--json", "--storage", captured.root).out) == ["stored", "open"]


def test_damaged_lines_are_skipped_and_counted(cli, tmp_path, write_file) -> None:
    file = write_file(tmp_path, "20260101T000000Z", message="good")
    file.write_bytes(b"\0\0\0\n{half\n" + file.read_bytes())
    result = cli("tail", "--json", "--storage", tmp_path)
    assert messages(result.out) == ["good"]
    assert "2 damaged lines skipped" in result.err


def test_nothing_to_show_is_said_beside_the_output(cli, tmp_path) -> None:
    result = cli("tail", "--storage", tmp_path)
    assert (result.status, result.out) == (0, "")
    assert "no such events" in result.err


def test_following_shows_open_files_at_once_and_each_event_once(start, tmp_path) -> None:
    recorder = Recorder(start, tmp_path)
    recorder.tell("log before")
    tail = start("-m", "obswriter", "tail", "-f", "--json", "--storage", tmp_path)
    wait_until(lambda: messages(tail.out) == ["before"], message=lambda: tail.err)
    recorder.tell("log open")
    wait_until(lambda: messages(tail.out) == ["before", "open"])
    assert not list(tmp_path.glob("observability/log/test/*.jsonl"))
    assert list(tmp_path.glob("observability/.spool/*/*/*/log/test/*.jsonl.open"))
    recorder.tell("flush")
    assert list(tmp_path.glob("observability/log/test/*.jsonl"))
    recorder.tell("log after")
    wait_until(lambda: "after" in tail.out)
    assert messages(tail.out) == ["before", "open", "after"]


def test_following_shows_what_was_stored_without_being_seen_open(start, tmp_path) -> None:
    tail = start("-m", "obswriter", "tail", "-f", "--json", "--storage", tmp_path)
    wait_until(lambda: "waiting" in tail.err)
    imported = tmp_path / "observability/log/test"
    imported.mkdir(parents=True)
    wire = {"type": "log", "id": "1", "message": "imported", "recordedAt": "2026"}
    temporary = imported / ".temporary"
    temporary.write_text(json.dumps(wire) + "\n")
    temporary.rename(imported / "20260101T000000Z_000000000000.jsonl")
    wait_until(lambda: messages(tail.out) == ["imported"])


def test_following_goes_on_when_the_recorder_is_killed_and_adopted(start, tmp_path) -> None:
    recorder = Recorder(start, tmp_path)
    tail = start("-m", "obswriter", "tail", "-f", "--json", "--storage", tmp_path)
    wait_until(lambda: "waiting" in tail.err)
    recorder.tell("log one")
    wait_until(lambda: messages(tail.out) == ["one"])
    os.kill(recorder.process.pid, signal.SIGKILL)
    recorder.process.wait()
    recovered = start("-m", "obswriter", "recover", "--storage", tmp_path)
    assert recovered.process.wait() == 0
    Recorder(start, tmp_path).tell("log two")
    wait_until(lambda: "two" in tail.out)
    assert messages(tail.out) == ["one", "two"]


def test_moving_a_file_to_processed_shows_nothing_again(start, captured: Captured) -> None:
    obswriter.log("info", "one")
    captured.writer.flush()
    tail = start("-m", "obswriter", "tail", "-f", "--json", "--storage", captured.root)
    wait_until(lambda: messages(tail.out) == ["one"])
    [file] = captured.root.glob("observability/log/test/*.jsonl")
    (file.parent / "processed").mkdir()
    file.rename(file.parent / "processed" / file.name)
    obswriter.log("info", "two")
    wait_until(lambda: "two" in tail.out)
    assert messages(tail.out) == ["one", "two"]


def test_following_begins_before_there_is_a_directory(start, tmp_path) -> None:
    root = tmp_path / "later"
    tail = start("-m", "obswriter", "tail", "-f", "--json", "--storage", root)
    wait_until(lambda: "waiting" in tail.err)
    Recorder(start, root).tell("log here")
    wait_until(lambda: messages(tail.out) == ["here"])


def test_a_line_being_written_waits_until_it_is_whole(tmp_path) -> None:
    file = tmp_path / "segment"
    file.write_bytes(b'{"a":1}\n{"b"' + bytes(1000))
    assert reading._whole_lines(str(file), 0) == b'{"a":1}\n'
    file.write_bytes(b'{"a":1}\n{"b":2}\n' + bytes(1000))
    assert reading._whole_lines(str(file), 8) == b'{"b":2}\n'
    assert reading._whole_lines(str(file), 16) == b""


def test_a_whole_line_longer_than_a_chunk_is_read(tmp_path) -> None:
    line = b"x" * (3 * reading.CHUNK) + b"\n"
    file = tmp_path / "segment"
    file.write_bytes(line + bytes(1000))
    assert reading._whole_lines(str(file), 0) == line


def test_the_memory_of_shown_events_is_bounded() -> None:
    seen = Seen(limit=10)
    events = [{"type": "log", "id": str(number)} for number in range(20)]
    assert all(seen.add(event) for event in events)
    assert not seen.add(events[-1])
    assert seen.add(events[0])
    assert len(seen._identities) == 10


@pytest.mark.parametrize("number", ["0", "5"])
def test_follow_begins_with_as_many_as_asked_for(start, captured: Captured, number: str) -> None:
    for index in range(9):
        obswriter.log("info", f"old {index}")
    tail = start(
        "-m", "obswriter", "tail", "-f", "-n", number, "--json", "--storage", captured.root
    )
    if number == "5":
        wait_until(lambda: len(messages(tail.out)) == 5)
    else:
        wait_until(lambda: "waiting" in tail.err)
    obswriter.log("info", "new")
    wait_until(lambda: "new" in tail.out)
    assert len(messages(tail.out)) == int(number) + 1
