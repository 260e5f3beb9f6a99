"""granian and hypercorn, on asyncio and trio: what a client saw answered is on disk at the end."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.processes import free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

APP = """
import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import obswriter
from obswriter_asgi import ObservabilityMiddleware

async def read_item(request):
    with obswriter.span("look up"):
        await anyio.sleep(0)
        await anyio.to_thread.run_sync(lambda: obswriter.log("info", "found"))
    return PlainTextResponse("tea", background=BackgroundTask(restock))

async def restock():
    await anyio.sleep(0)

async def stream(request):
    async def pieces():
        for piece in ("a", "b", "c"):
            await anyio.sleep(0.01)
            yield piece
        obswriter.log("info", "streamed")
    return StreamingResponse(pieces())

async def fail(request):
    raise LookupError("no such item")

app = Starlette(routes=[
    Route("/items/{item_id}", read_item), Route("/stream", stream), Route("/fail", fail),
])
app.add_middleware(ObservabilityMiddleware)
"""

SERVERS = {
    "granian": ["granian", "--interface", "asgi", "--port", "{port}", "shop:app"],
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:{port}", "shop:app"],
    "hypercorn-trio": ["hypercorn", "-k", "trio", "--bind", "127.0.0.1:{port}", "shop:app"],
}


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("server", SERVERS)
def test_every_answered_request_is_stored(tmp_path: Path, server: str, http2: bool) -> None:
    for needed in (SERVERS[server][0], *(["trio"] * ("trio" in server)), *(["h2"] * http2)):
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[server])]
    env = {
        **os.environ,
        "OBSWRITER_FILE_STORAGE": str(tmp_path / "data"),
        "OBSWRITER_FLUSH_INTERVAL_MS": "0",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    with (
        serving(command, port, env=env) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", http1=not http2, http2=http2) as client,
    ):
        for number in range(5):
            assert client.get(f"/items/{number}").text == "tea"
        assert client.get("/stream").text == "abc"
        with suppress(httpx.RemoteProtocolError):  # a server may end the connection instead
            assert client.get("/fail").status_code == 500
        client.close()
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    spans = stored_events(tmp_path / "data", "span")
    servers = {s["id"]: s for s in spans if s["spanKind"] == "server"}
    names = [span["name"] for span in servers.values()]
    assert sorted(names) == ["GET /fail", *["GET /items/{item_id}"] * 5, "GET /stream"]
    for span in servers.values():
        told = span["attributes"]
        assert told["network.protocol.version"] == ("2" if http2 else "1.1")
        assert (told["server.address"], told["server.port"]) == ("127.0.0.1", port)
        assert told["client.address"] == "127.0.0.1"
        failed = span["name"] == "GET /fail"
        assert (span["status"], told["http.response.status_code"]) == (
            ("error", 500) if failed else ("unset", 200)
        )
    assert "parentSpanId" not in servers[next(iter(servers))]
    found = {span["id"]: span for span in spans if span["name"] == "look up"}
    logs = stored_events(tmp_path / "data", "log")
    assert {log["spanId"] for log in logs if log["message"] == "found"} == found.keys()
    streamed = next(span for span in servers.values() if span["name"] == "GET /stream")
    (last,) = (log for log in logs if log["message"] == "streamed")
    assert last["traceId"] == streamed["traceId"]
    assert streamed["endTime"] >= last["timestamp"]
    background = [span for span in spans if span["name"] == "restock"]
    assert len(background) == 5
