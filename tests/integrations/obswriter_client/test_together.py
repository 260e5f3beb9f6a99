"""Two real servers, of which one asks the other: one trace through both."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.processes import free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

SHOP = """
import os
import httpx
import obswriter_client
from obswriter.propagation import get_baggage, set_baggage
from obswriter_asgi import ObservabilityMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

obswriter_client.observe_httpx()

async def order(request):
    set_baggage("tenant", "acme")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(os.environ["STOCK"] + "/stock/7")
    return PlainTextResponse(answer.text)

async def stock(request):
    return PlainTextResponse(get_baggage().get("tenant", ""))

app = Starlette(routes=[Route("/orders", order), Route("/stock/{item}", stock)])
app.add_middleware(ObservabilityMiddleware)
"""


def test_a_request_through_two_servers_is_one_trace(tmp_path: Path) -> None:
    for needed in ("uvicorn", "starlette", "httpx"):
        pytest.importorskip(needed)
    (tmp_path / "shop.py").write_text(SHOP)
    front, back = free_port(), free_port()
    env = {
        **os.environ,
        "OBSWRITER_FILE_STORAGE": str(tmp_path / "data"),
        "STOCK": f"http://127.0.0.1:{back}",
    }
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--app-dir", str(tmp_path), "--port"]
    with (
        serving([*command, str(back)], back, env=env) as stock,
        serving([*command, str(front)], front, env=env) as shop,
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{front}/orders", timeout=20) as response:
            assert response.read() == b"acme"
        for process in (shop, stock):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    spans = {span["id"]: span for span in stored_events(tmp_path / "data", "span")}
    way = [next(span for span in spans.values() if span["name"] == "stock")]
    while parent := way[-1].get("parentSpanId"):
        way.append(spans[parent])
    assert [(span["spanKind"], span["name"]) for span in way] == [
        ("internal", "stock"),
        ("server", "GET /stock/{item}"),
        ("client", "GET"),
        ("internal", "order"),
        ("server", "GET /orders"),
    ]
    assert len({span["traceId"] for span in way}) == 1
    assert len(spans) == len(way)
