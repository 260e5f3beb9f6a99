"""All four adapters at once: a request, a message, a task and their logs are one trace."""

from __future__ import annotations

import signal
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_testsupport.celery_workers import Shop, make_shop, working
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.processes import free_port, serving
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="prefork needs fork")

PUBLISHER = """
import json, logging, os
from celery import Celery
import obswriter_celery
from obswriter_logging import ObservabilityHandler

logger = logging.getLogger("web")
logger.setLevel("INFO")
logger.addHandler(ObservabilityHandler())
publisher = Celery("web")
publisher.conf.update(json.loads(os.environ["SHOP_CONF"]))
obswriter_celery.install(publisher)

def order(number):
    logger.info("received %d", number)
    publisher.send_task("shop.order", (number,))
"""

FASTAPI = """
from fastapi import FastAPI
from obswriter_asgi import ObservabilityMiddleware
from publisher import order

app = FastAPI()
app.add_middleware(ObservabilityMiddleware)

@app.get("/orders/{number}")
def place_order(number: int):
    order(number)
    return {}
"""

DJANGO = """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["obswriter_django"],
    MIDDLEWARE=["obswriter_django.ObservabilityMiddleware"],
    ROOT_URLCONF="web",
    SECRET_KEY="made up",
)
app = get_asgi_application()
from publisher import order

def place_order(request, number):
    order(number)
    return HttpResponse()

urlpatterns = [path("orders/<int:number>", place_order)]
"""


TRACE_ID, CALLER = "a" * 32, "b" * 16


def place_order(shop: Shop, number: int) -> None:
    """Serve the shop's web application, order, and stop it once the order is done."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "web:app", "--app-dir", str(shop.folder)]
    with serving([*command, "--port", str(port)], port, env=shop.environ()) as server:
        parent = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/orders/{number}", headers=parent)
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200
        wait_until(lambda: shop.is_done(number), 60, message=shop.output)
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def above(spans: dict[str, dict[str, Any]], span_id: str) -> list[tuple[str, str]]:
    """Return the kind and name of a span and of all above it."""
    found = []
    while span_id in spans:
        span = spans[span_id]
        found.append((span["spanKind"], span["name"]))
        span_id = span["parentSpanId"]
    assert span_id == CALLER
    return found


@pytest.mark.parametrize(
    ("framework", "web", "route"),
    [
        ("fastapi", FASTAPI, "/orders/{number}"),
        ("django", DJANGO, "orders/<int:number>"),
    ],
    ids=["fastapi", "django"],
)
def test_a_request_its_message_its_task_and_their_logs_are_one_trace(
    tmp_path: Path, framework: str, web: str, route: str
) -> None:
    for needed in ("uvicorn", "celery", framework):
        pytest.importorskip(needed)
    shop = make_shop(tmp_path / "shop", tmp_path / "data")
    (shop.folder / "publisher.py").write_text(PUBLISHER)
    (shop.folder / "web.py").write_text(web)
    with working(shop, "-c", "1") as worker:
        place_order(shop, 7)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    events = stored_events(shop.storage)
    ours = [event for event in events if event.get("traceId", event["id"]) == TRACE_ID]
    spans = {event["id"]: event for event in ours if event["type"] == "span"}
    logs = {event["message"]: event for event in ours if event["type"] == "log"}
    traces = sorted(event["name"] for event in ours if event["type"] == "trace")

    endpoint, server = requested = above(spans, logs["received 7"]["spanId"])
    assert endpoint == ("internal", "place_order")
    assert server[0] == "server"
    assert server[1].endswith(route)
    ran = [("consumer", "run shop.order"), ("producer", "publish shop.order"), *requested]
    assert above(spans, logs["order 7"]["spanId"]) == ran
    assert above(spans, logs["plain 7"]["spanId"]) == ran
    assert len(spans) == len(ran)
    assert traces == sorted([server[1], "run shop.order"])
    processes = {logs[name]["attributes"]["process.pid"] for name in ("received 7", "order 7")}
    assert len(processes) == 2
