"""On an object store the same holds: at exit files are uploaded, or wait for the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from obswriter import parse_jsonl
from obswriter_testsupport.faults import Outcome, run
from obswriter_testsupport.wait import wait_until

pytest.importorskip("s3fs")

RECORD = """
obswriter.configure(retry_initial_ms=10)
for number in range(300):
    record(f"event {number}")
"""


def stored(server: Any, path: str) -> list[str]:
    fs = server.filesystem()
    fs.invalidate_cache()
    files = [name for name in fs.find(f"{server.bucket}/{path}") if name.endswith(".jsonl")]
    return [e["message"] for name in files for e in parse_jsonl(fs.cat_file(name))]


def spooled(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool").rglob("*.jsonl*"))


def run_on(server: Any, path: str, script: str, tmp_path: Path, **environ: str) -> Outcome:
    settings = {
        **server.environ,
        "OBSWRITER_FILE_STORAGE": server.url(path),
        "OBSWRITER_SPOOL_DIR": str(tmp_path / "spool"),
        "PYTHONDEVMODE": "",
        **environ,
    }
    return run(script, tmp_path, **settings)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        pytest.param("", 0, id="end of main"),
        pytest.param("sys.exit(3)", 3, id="sys.exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", -15, id="SIGTERM"),
        pytest.param("os.kill(os.getpid(), signal.SIGINT)", -2, id="SIGINT"),
    ],
)
def test_a_process_that_ends_has_uploaded_its_files(
    ending: str, status: int, s3_server: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = f"exit-{ending[-8:-1].strip('.()') or 'main'}"
    outcome = run_on(s3_server, path, RECORD + ending, tmp_path)
    assert outcome.status == status, outcome.stderr
    assert sorted(stored(s3_server, path)) == sorted(outcome.acknowledged)
    assert not any(path.read_bytes().strip(b"\0") for path in spooled(tmp_path))


def test_a_child_uploads_too(s3_server: Any, tmp_path: Path) -> None:
    script = (
        RECORD
        + """
obswriter.flush()
pid = os.fork()
if pid == 0:
    for number in range(100):
        record(f"child {number}")
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    )
    outcome = run_on(s3_server, "child", script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert sorted(stored(s3_server, "child")) == sorted(outcome.acknowledged)


def test_what_a_killed_process_left_is_uploaded_by_the_next(s3_server: Any, tmp_path: Path) -> None:
    killed = run_on(s3_server, "killed", RECORD + "os.kill(os.getpid(), 9)", tmp_path)
    assert len(killed.acknowledged) == 300
    assert stored(s3_server, "killed") == []
    following = """
obswriter.configure()
record("next")
while obswriter.get_writer().get_stats().recovered < 300:
    os.sched_yield()
"""
    after = run_on(s3_server, "killed", following, tmp_path)
    assert after.status == 0, after.stderr
    expected = sorted([*killed.acknowledged, "next"])
    # The process that uploads what the end left may outlive the one that waits for it.
    wait_until(lambda: len(stored(s3_server, "killed")) >= len(expected), 30)
    assert sorted(stored(s3_server, "killed")) == expected


def test_while_the_store_is_away_events_wait_and_arrive_once(
    s3_server: Any, tmp_path: Path
) -> None:
    nobody = "http://localhost:9"
    away = run_on(
        s3_server,
        "away",
        RECORD,
        tmp_path,
        AWS_ENDPOINT_URL=nobody,
        OBSWRITER_SHUTDOWN_TIMEOUT_MS="200",
    )
    assert away.status == 0, away.stderr
    assert len(away.acknowledged) == 300
    assert stored(s3_server, "away") == []
    assert spooled(tmp_path)


def test_what_the_storage_libraries_log_while_storing_makes_no_events(
    s3_server: Any, tmp_path: Path
) -> None:
    """At level DEBUG botocore, aiobotocore and s3fs say much, in a thread of theirs."""
    script = """
import logging
from obswriter_logging import ObservabilityHandler
said = set()
class Listener(logging.Handler):
    def emit(self, record):
        said.add(record.name.partition(".")[0])
logging.basicConfig(level=logging.DEBUG, handlers=[ObservabilityHandler(), Listener()])
obswriter.configure(batch_size=10)
for number in range(50):
    logging.getLogger("application").info("event %d", number)
    ack(f"event {number}")
while obswriter.flush().files_written:
    pass
stats = obswriter.get_writer().get_stats()
assert stats.recorded["log"] == 50 == stats.written["log"], stats
assert {"aiobotocore", "botocore"} & said, said
"""
    outcome = run_on(s3_server, "debug", script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert sorted(stored(s3_server, "debug")) == sorted(outcome.acknowledged)
