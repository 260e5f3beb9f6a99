"""Real uvicorn processes: every request a client saw answered is on disk after the stop."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_testsupport.processes import free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

REQUESTS = 20
APP = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def read_item(request):
    return PlainTextResponse(request.path_params["item_id"])

app = Starlette(routes=[Route("/items/{item_id}", read_item)])
bare = Starlette(routes=[Route("/items/{item_id}", read_item)])

from obswriter_asgi import ObservabilityMiddleware
app.add_middleware(ObservabilityMiddleware)
"""


def stop(tmp_path: Path, name: str, workers: int, how: signal.Signals) -> int:
    """Serve, ask, and stop with a signal; return the exit status."""
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"shop:{name}", "--app-dir", str(tmp_path)]
    command += ["--port", str(port), "--workers", str(workers), "--log-level", "warning"]
    env = {
        **os.environ,
        "OBSWRITER_FILE_STORAGE": str(tmp_path / "data"),
        "OBSWRITER_PROJECT_ID": "shop",
        "OBSWRITER_FLUSH_INTERVAL_MS": "0",
    }
    with serving(command, port, env=env) as process:
        for number in range(REQUESTS):
            url = f"http://127.0.0.1:{port}/items/{number}"
            with urllib.request.urlopen(url, timeout=10) as response:
                assert response.read() == str(number).encode()
        process.send_signal(how)
        return process.wait(20)


def stored(tmp_path: Path, type: str) -> list[dict[str, Any]]:
    files = (tmp_path / "data").glob(f"observability/{type}/shop/*.jsonl")
    return [event for path in files for event in obswriter.parse_jsonl(path.read_bytes())]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_every_answered_request_is_stored_and_the_exit_status_is_uvicorns_own(
    tmp_path: Path, workers: int, how: signal.Signals
) -> None:
    status = stop(tmp_path, "app", workers, how)
    spans, traces = stored(tmp_path, "span"), stored(tmp_path, "trace")
    servers = [span for span in spans if span["spanKind"] == "server"]
    assert {span["attributes"]["url.path"] for span in servers} == {
        f"/items/{number}" for number in range(REQUESTS)
    }
    assert {span["name"] for span in servers} == {"GET /items/{item_id}"}
    assert len(spans) == 2 * REQUESTS
    assert sorted(trace["id"] for trace in traces) == sorted(span["traceId"] for span in servers)
    assert status == stop(tmp_path, "bare", workers, how)
