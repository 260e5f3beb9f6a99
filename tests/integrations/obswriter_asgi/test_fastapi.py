"""FastAPI: included routers, sub-applications, its own pages, and dependencies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

import obswriter
from obswriter_asgi import ObservabilityMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obswriter.testing import Captured


def observed() -> FastAPI:
    app = FastAPI()
    app.add_middleware(ObservabilityMiddleware)
    return app


def names(captured: Captured) -> list[str]:
    """The server span's name, then the endpoint's."""
    spans = captured.events("span")
    return [s["name"] for kind in ("server", "internal") for s in spans if s["spanKind"] == kind]


def test_a_route_is_named_by_its_template(captured: Captured) -> None:
    app = observed()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int) -> int:
        return item_id

    assert TestClient(app).get("/items/7").json() == 7
    assert names(captured) == ["GET /items/{item_id}", "read_item"]


def test_included_routers_add_their_prefixes(captured: Captured) -> None:
    inner = APIRouter(prefix="/shelves/{shelf}")
    outer = APIRouter(prefix="/v1")
    app = observed()

    @inner.get("/items/{item_id}")
    async def read_item(shelf: str, item_id: int) -> int:
        return item_id

    outer.include_router(inner)
    app.include_router(outer, prefix="/tenants/{tenant}")
    assert TestClient(app).get("/tenants/acme/v1/shelves/a/items/7").json() == 7
    template = "/tenants/{tenant}/v1/shelves/{shelf}/items/{item_id}"
    assert names(captured) == [f"GET {template}", "read_item"]
    assert captured.one("span", spanKind="server")["attributes"]["http.route"] == template


def test_an_included_route_of_another_method_runs_no_endpoint(captured: Captured) -> None:
    router = APIRouter(prefix="/v1")
    app = observed()

    @router.get("/items/{item_id}")
    async def read_item(item_id: int) -> int:
        return item_id

    app.include_router(router)
    assert TestClient(app).put("/v1/items/7").status_code == 405
    assert names(captured) == ["PUT /v1/items/{item_id}"]


def test_a_router_included_twice_is_told_apart(captured: Captured) -> None:
    router = APIRouter()
    app = observed()

    @router.get("/items")
    async def list_items() -> list[int]:
        return []

    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    TestClient(app).get("/v2/items")
    assert names(captured) == ["GET /v2/items", "list_items"]


def test_starlettes_routes_and_mounts_in_an_included_router_get_its_prefix(
    captured: Captured,
) -> None:
    router = APIRouter()
    app = observed()

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    router.add_route("/plain/{number}", plain)
    router.mount("/sub", Router([Route("/{name}", plain)]))
    app.include_router(router, prefix="/v1")
    client = TestClient(app)
    if client.get("/v1/sub/x").status_code == 404:
        pytest.skip("earlier FastAPIs leave a router's mounts out")
    client.get("/v1/plain/7")
    servers = captured.events("span", spanKind="server")
    assert [span["name"] for span in servers] == ["GET /v1/sub/{name}", "GET /v1/plain/{number}"]


def test_a_sub_application_adds_its_mount(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#2891: Implement full http.route setting for
    FastAPI sub applications.
    """
    app, sub = observed(), FastAPI()
    router = APIRouter(prefix="/shelf")

    @router.get("/items/{item_id}")
    async def read_item(item_id: int) -> int:
        return item_id

    sub.include_router(router)
    app.mount("/sub", sub)
    assert TestClient(app).get("/sub/shelf/items/7").json() == 7
    assert names(captured) == ["GET /sub/shelf/items/{item_id}", "read_item"]


def test_a_sub_application_without_the_route_gives_the_method_only(captured: Captured) -> None:
    app = observed()
    app.mount("/sub", FastAPI())
    assert TestClient(app).get("/sub/users/123456").status_code == 404
    assert names(captured) == ["GET"]


def test_fastapis_own_pages_have_their_routes(captured: Captured) -> None:
    assert TestClient(observed()).get("/openapi.json").status_code == 200
    assert names(captured)[0] == "GET /openapi.json"


def test_an_invalid_parameter_is_no_error_of_the_server(captured: Captured) -> None:
    app = observed()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int) -> int:
        return item_id

    assert TestClient(app).get("/items/seven").status_code == 422
    span = captured.one("span", spanKind="server")
    assert (span["name"], span["status"]) == ("GET /items/{item_id}", "unset")


def test_dependencies_of_every_kind_log_within_the_endpoint(captured: Captured) -> None:
    app = observed()

    async def in_the_loop() -> None:
        obswriter.log("info", "async dependency")

    def in_a_thread() -> Iterator[None]:
        obswriter.log("info", "sync dependency begins")
        yield
        obswriter.log("info", "sync dependency ends")

    @app.get("/", dependencies=[Depends(in_the_loop), Depends(in_a_thread)])
    def in_the_pool(tasks: BackgroundTasks) -> str:
        obswriter.log("info", "sync endpoint")
        tasks.add_task(obswriter.log, "info", "background task")
        return "done"

    assert TestClient(app).get("/").status_code == 200
    endpoint = captured.one("span", name="in_the_pool")
    logs = captured.events("log")
    assert {log["message"] for log in logs} == {
        "async dependency",
        "sync dependency begins",
        "sync endpoint",
        "sync dependency ends",
        "background task",
    }
    task = captured.one("span", name="log")
    assert task["parentSpanId"] == endpoint["id"]
    for log in logs:
        span = task if log["message"] == "background task" else endpoint
        assert (log["traceId"], log["spanId"]) == (span["traceId"], span["id"])


async def test_two_requests_at_once_keep_their_own_traces(captured: Captured) -> None:
    from obswriter_testsupport.asgi import call

    app = observed()
    both_are_here = asyncio.Barrier(2)

    @app.get("/items/{item_id}")
    async def read_item(item_id: int) -> None:
        obswriter.log("info", f"before {item_id}")
        await both_are_here.wait()
        with obswriter.span(f"work {item_id}"):
            await both_are_here.wait()
            obswriter.log("info", f"after {item_id}")

    await asyncio.gather(call(app, "/items/1"), call(app, "/items/2"))
    by_path = {s["attributes"]["url.path"]: s for s in captured.events("span", spanKind="server")}
    assert by_path["/items/1"]["traceId"] != by_path["/items/2"]["traceId"]
    for number in (1, 2):
        server: Any = by_path[f"/items/{number}"]
        before = captured.one("log", message=f"before {number}")
        after = captured.one("log", message=f"after {number}")
        work = captured.one("span", name=f"work {number}")
        [endpoint] = captured.events("span", name="read_item", traceId=server["traceId"])
        assert endpoint["parentSpanId"] == server["id"]
        assert (before["spanId"], work["parentSpanId"]) == (endpoint["id"], endpoint["id"])
        assert (after["traceId"], after["spanId"]) == (server["traceId"], work["id"])
