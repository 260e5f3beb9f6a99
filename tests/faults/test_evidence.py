"""What a process was doing when it was killed is in the files: its local roots, as errors."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from obswriter.adoption import adopt
from obswriter.storage import LocalStorage
from obswriter_testsupport.faults import Outcome, run, stored_events
from obswriter_testsupport.processes import free_port, serving
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="marks are kept in mapped files")

DIE = "os._exit(0)"
SHUT_DOWN = "obswriter.configure(); obswriter.shutdown()"


def spans(root: Path, **fields: Any) -> list[dict[str, Any]]:
    found = stored_events(root, "span")
    return [span for span in found if all(span.get(name) == fields[name] for name in fields)]


def test_a_root_that_was_going_on_is_a_span_that_ended_with_the_last_event(tmp_path: Path) -> None:
    outcome = run(
        """
with obswriter.span("handle", kind="server", attributes={"order": 7}) as span:
    with obswriter.span("part"):
        pass
    ack(span.trace_id + " " + span.id)
"""
        f"    {DIE}",
        tmp_path,
    )
    outcome.recover()
    [died] = spans(tmp_path, name="handle")
    [part] = spans(tmp_path, name="part")
    assert [f"{died['traceId']} {died['id']}"] == outcome.acknowledged
    assert (died["status"], died["spanKind"]) == ("error", "server")
    assert died["attributes"] == {"order": 7, "obswriter.outcome": "process_died"}
    assert died["startTime"] <= part["startTime"]
    assert died["endTime"] == died["recordedAt"] == part["recordedAt"]
    assert (next(iter(died)), list(died)[-1]) == ("type", "recordedAt")
    [trace] = stored_events(tmp_path, "trace")
    shared = ("projectId", "name", "startTime", "endTime", "status", "recordedAt")
    assert trace == {"type": "trace", "id": died["traceId"], **{n: died[n] for n in shared}}


@pytest.mark.parametrize(
    "script",
    [
        f"with obswriter.span('s'): pass\n{DIE}",
        f"with obswriter.span('s'): obswriter.log('info', 'm')\nobswriter.flush()\n{DIE}",
        "obswriter.span('s').__enter__()\nobswriter.shutdown()",
        "obswriter.span('s').__enter__()",
        f"obswriter.configure(disabled=True)\nobswriter.span('s').__enter__()\n{DIE}",
        f"obswriter.configure(sample_rate=1e-9)\nobswriter.span('s').__enter__()\n{DIE}",
        f"{SHUT_DOWN}\nif os.fork() == 0: obswriter.span('s').__enter__(); {DIE}\nos.wait()",
    ],
    ids=["ended", "flushed", "shut down", "a normal end", "disabled", "not sampled", "forked"],
)
def test_what_ended_or_was_given_up_leaves_no_evidence(script: str, tmp_path: Path) -> None:
    run(script, tmp_path).recover()
    assert [s for s in spans(tmp_path) if "obswriter.outcome" in s.get("attributes", {})] == []
    assert list(tmp_path.glob("observability/.spool/*/*/*/")) == []


def test_a_fork_within_a_span_is_the_parents_to_mark(tmp_path: Path) -> None:
    script = """
with obswriter.span("parent's"):
    pid = os.fork()
    if pid == 0:
        with obswriter.span("child's"):
            pass
        os._exit(0)
    os.waitpid(pid, 0)
    os._exit(0)
"""
    run(script, tmp_path, PYTHONWARNINGS="ignore::DeprecationWarning").recover()
    [died] = [s for s in spans(tmp_path) if "attributes" in s]
    assert died["name"] == "parent's"
    assert [s["name"] for s in spans(tmp_path, status="unset")] == ["child's"]


def test_a_child_forked_within_a_span_has_roots_of_its_own(tmp_path: Path) -> None:
    script = """
with obswriter.span("parent's") as parents:
    pid = os.fork()
    if pid == 0:
        with obswriter.trace("ended", metadata={"n": 1}):
            pass
        with obswriter.span("killed"):
            with obswriter.span("below"):
                os._exit(0)
    os.waitpid(pid, 0)
    ack(parents.trace_id + " " + parents.id)
"""
    outcome = run(script, tmp_path, PYTHONWARNINGS="ignore::DeprecationWarning")
    outcome.recover()
    roots = {f"{s['traceId']} {s['parentSpanId']}" for s in spans(tmp_path) if "parentSpanId" in s}
    assert roots == set(outcome.acknowledged)
    [killed] = spans(tmp_path, status="error")
    assert (killed["name"], killed["attributes"]["obswriter.outcome"]) == ("killed", "process_died")
    traces = {trace["name"]: trace for trace in stored_events(tmp_path, "trace")}
    assert set(traces) == {"parent's", "ended", "killed"}
    assert {trace["id"] for trace in traces.values()} == {killed["traceId"]}


def test_what_gives_way_to_an_explicit_writer_is_not_taken_for_dead(tmp_path: Path) -> None:
    script = f"""
with obswriter.span("early"):
    obswriter.log("info", "makes the implicit writer")
    obswriter.configure(file_storage={str(tmp_path / "other")!r}, project_id="explicit")
    obswriter.flush()
obswriter.shutdown()
"""
    run(script, tmp_path)
    [early] = stored_events(tmp_path / "other", "span")
    assert (early["name"], early["status"]) == ("early", "unset")


def dead_in_two_spans(tmp_path: Path) -> Outcome:
    script = f"""
import threading
obswriter.log("info", "m")
for number in range(2):
    thread = threading.Thread(target=obswriter.span(f"work {{number}}").__enter__)
    thread.start()
    thread.join()
{DIE}
"""
    return run(script, tmp_path)


def test_evidence_that_the_store_refused_at_first_still_ends_with_the_last_event(
    tmp_path: Path,
) -> None:
    run(f"obswriter.span('work').__enter__()\nobswriter.log('info', 'm')\n{DIE}", tmp_path)
    [family] = (tmp_path / "observability" / ".spool").glob("*/*")
    in_the_way = tmp_path / "observability" / "span"
    in_the_way.touch()
    assert adopt(str(family), LocalStorage(tmp_path), "observability").errors
    [log] = stored_events(tmp_path, "log")
    in_the_way.unlink()
    assert adopt(str(family), LocalStorage(tmp_path), "observability").errors == []
    assert [span["endTime"] for span in spans(tmp_path)] == [log["recordedAt"]]


def test_recovering_again_after_an_interruption_makes_nothing_twice(tmp_path: Path) -> None:
    dead_in_two_spans(tmp_path)
    [family] = (tmp_path / "observability" / ".spool").glob("*/*")
    store = FaultyStorage(tmp_path)

    def fail(path: str) -> None:
        raise OSError("the connection is lost")

    store.after = fail  # it has stored the file, and nobody knows
    assert len(adopt(str(family), store, "observability").errors) == 3
    store.recover()
    assert adopt(str(family), LocalStorage(tmp_path), "observability").errors == []
    assert sorted(span["name"] for span in spans(tmp_path)) == ["work 0", "work 1"]
    assert len(stored_events(tmp_path, "log")) == 1
    assert not list(family.glob("*/"))


def test_evidence_that_was_ingested_already_is_not_stored_again(tmp_path: Path) -> None:
    dead_in_two_spans(tmp_path)
    [family] = (tmp_path / "observability" / ".spool").glob("*/*")
    [started] = family.glob("*/started")
    kept = started.read_bytes()
    storage = LocalStorage(tmp_path)
    adopt(str(family), storage, "observability")
    [stored] = tmp_path.glob("observability/span/*/*.jsonl")
    path = stored.relative_to(tmp_path).as_posix()
    storage.move(path, path.replace(stored.name, f"processed/{stored.name}"))
    started.parent.mkdir()
    started.write_bytes(kept)
    os.utime(started.parent, (0, 0))
    adopt(str(family), storage, "observability")
    assert spans(tmp_path) == []
    assert not started.exists()


def test_a_server_killed_in_mid_request_says_which_request(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    (tmp_path / "app.py").write_text("""
import os, time
from pathlib import Path
from obswriter_asgi import ObservabilityMiddleware

async def endpoint(scope, receive, send):
    if scope["type"] == "http":
        Path(os.environ["REACHED"]).touch()
        while True:
            time.sleep(0.05)

app = ObservabilityMiddleware(endpoint)
""")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(tmp_path)]
    reached = tmp_path / "reached"
    own = {"OBSWRITER_FILE_STORAGE": str(tmp_path), "REACHED": str(reached)}
    env = {**os.environ, **own}
    with serving([*command, "--port", str(port)], port, env=env) as server:
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("POST", "/orders/7?token=x")
        wait_until(reached.exists)
        server.send_signal(signal.SIGKILL)
        server.wait()
        client.close()
    Outcome(tmp_path, 0, [], "").recover()
    [died] = spans(tmp_path, spanKind="server")
    assert died["attributes"]["obswriter.outcome"] == "process_died"
    assert died["attributes"]["http.request.method"] == "POST"
    assert died["attributes"]["url.path"] == "/orders/7"
    assert died["attributes"]["url.query"] == "token=REDACTED"


def test_a_root_whose_line_is_appended_leaves_no_evidence_from_that_moment_on(
    tmp_path: Path,
) -> None:
    """Else it would be stored twice: as it ended, and as if it had died."""
    script = """
writer = obswriter.configure()
append = writer.append
def append_and_die(wire):
    append(wire)
    os.kill(os.getpid(), signal.SIGKILL)
writer.append = append_and_die
with obswriter.span("ended"):
    pass
"""
    run(script, tmp_path).recover()
    [span] = stored_events(tmp_path, "span")
    assert span["status"] == "unset"


def test_no_secret_of_what_is_going_on_is_on_the_disk_even_for_a_moment(tmp_path: Path) -> None:
    script = """
obswriter.configure(redact=lambda name, value: "hidden" if name == "mine" else value)
attributes = {"password": "hunter2", "mine": "hunter2"}
obswriter.span("s", attributes=attributes).__enter__()
os._exit(0)
"""
    run(script, tmp_path)
    [marks] = tmp_path.glob("observability/.spool/*/*/*/started")
    assert b'"mine":"hidden"' in marks.read_bytes()
    assert b"hunter2" not in marks.read_bytes()
