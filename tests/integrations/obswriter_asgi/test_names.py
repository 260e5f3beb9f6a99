"""Spans are named after the method and the route's template, never after what a client sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")

import starlette
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient

from obswriter_asgi import ObservabilityMiddleware

if TYPE_CHECKING:
    from obswriter.testing import Captured


async def read_item(request: Any) -> PlainTextResponse:
    return PlainTextResponse("item")


def list_items(request: Any) -> PlainTextResponse:
    return PlainTextResponse("items")


class Shelf(HTTPEndpoint):
    async def get(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("shelf")


class Controller:
    async def show(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("shown")


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("asgi")(scope, receive, send)


def ask(app: Any, path: str, method: str = "GET", base_url: str = "http://testserver") -> int:
    return TestClient(app, base_url=base_url).request(method, path).status_code


def observed(*routes: Any) -> Starlette:
    app = Starlette(routes=list(routes))
    app.add_middleware(ObservabilityMiddleware)
    return app


def server_names(captured: Captured) -> tuple[str, str | None]:
    span = captured.one("span", spanKind="server")
    assert captured.one("trace")["name"] == span["name"]
    return span["name"], span["attributes"].get("http.route")


def endpoint_names(captured: Captured) -> list[tuple[str, str]]:
    spans = captured.events("span", spanKind="internal")
    return [(span["name"], span["attributes"]["code.function.name"]) for span in spans]


@pytest.mark.parametrize(
    ("path", "template"),
    [("/items", "/items"), ("/items/7", "/items/{item_id}"), ("/files/a/b", "/files/{rest}")],
)
def test_a_request_is_named_after_its_method_and_route(
    captured: Captured, path: str, template: str
) -> None:
    app = observed(
        Route("/items", list_items),
        Route("/items/{item_id:int}", read_item),
        Route("/files/{rest:path}", read_item),
    )
    assert ask(app, path) == 200
    assert server_names(captured) == (f"GET {template}", template)


def test_a_head_request_keeps_its_method(captured: Captured) -> None:
    ask(observed(Route("/items", list_items)), "/items", "HEAD")
    assert server_names(captured) == ("HEAD /items", "/items")


def test_without_a_route_the_name_is_the_method(captured: Captured) -> None:
    """open-telemetry/opentelemetry-python-contrib#2650: fix(instrumentation-asgi): remove high
    cardinal path from span name.
    """
    assert ask(observed(Route("/items", list_items)), "/users/123456") == 404
    assert server_names(captured) == ("GET", None)
    assert endpoint_names(captured) == []


def test_a_method_no_standard_knows_is_not_in_the_name(captured: Captured) -> None:
    ask(observed(), "/", "BREW-4711")
    assert server_names(captured) == ("HTTP", None)
    attributes = captured.one("span")["attributes"]
    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "BREW-4711"


def test_a_method_the_route_does_not_take_runs_no_endpoint(captured: Captured) -> None:
    assert ask(observed(Route("/items/{item_id}", read_item)), "/items/7", "DELETE") == 405
    assert server_names(captured) == ("DELETE /items/{item_id}", "/items/{item_id}")
    assert endpoint_names(captured) == []


def test_a_redirect_to_the_path_with_a_slash_has_no_route(captured: Captured) -> None:
    app = observed(Route("/items/", list_items))
    answer = TestClient(app, follow_redirects=False).get("/items")
    assert answer.status_code == 307
    assert server_names(captured) == ("GET", None)


@pytest.mark.parametrize(
    ("endpoint", "name", "qualified"),
    [
        (read_item, "read_item", "read_item"),
        (Shelf, "Shelf", "Shelf"),
        (Controller().show, "Controller.show", "Controller.show"),
        (Asgi(), "Asgi", "Asgi"),
    ],
)
def test_the_endpoint_has_a_span_named_after_it(
    captured: Captured, endpoint: Any, name: str, qualified: str
) -> None:
    assert ask(observed(Route("/", endpoint)), "/") == 200
    assert endpoint_names(captured) == [(name, f"{__name__}.{qualified}")]
    server = captured.one("span", spanKind="server")
    endpoint_span = captured.one("span", spanKind="internal")
    assert endpoint_span["parentSpanId"] == server["id"]
    assert endpoint_span["traceId"] == server["traceId"]


def test_an_endpoint_defined_in_a_function_has_a_short_name(captured: Captured) -> None:
    async def local_endpoint(request: Any) -> PlainTextResponse:
        return PlainTextResponse("local")

    ask(observed(Route("/", local_endpoint)), "/")
    [(name, function)] = endpoint_names(captured)
    assert name == "local_endpoint"
    assert function.endswith("<locals>.local_endpoint")


def test_a_function_of_two_routes_is_told_apart_by_the_route(captured: Captured) -> None:
    app = observed(Route("/a/{x}", read_item), Route("/b/{x}", read_item))
    ask(app, "/b/1")
    assert server_names(captured) == ("GET /b/{x}", "/b/{x}")


def test_mounts_add_their_templates(captured: Captured) -> None:
    shelves = Mount("/shelves", routes=[Route("/{shelf}/items", list_items)])
    app = observed(Mount("/tenants/{tenant}", routes=[shelves]))
    assert ask(app, "/tenants/acme/shelves/9/items") == 200
    template = "/tenants/{tenant}/shelves/{shelf}/items"
    assert server_names(captured) == (f"GET {template}", template)
    assert [name for name, _ in endpoint_names(captured)] == ["list_items"]


def test_below_a_mount_without_a_route_the_name_is_the_method(captured: Captured) -> None:
    app = observed(Mount("/tenants/{tenant}", routes=[Route("/items", list_items)]))
    assert ask(app, "/tenants/acme/users/123456") == 404
    assert server_names(captured) == ("GET", None)
    assert endpoint_names(captured) == []


def test_a_mounted_asgi_application_is_an_endpoint(captured: Captured) -> None:
    assert ask(observed(Mount("/static", app=Asgi())), "/static/css/site.css") == 200
    assert server_names(captured) == ("GET /static/{path}", "/static/{path}")
    assert [name for name, _ in endpoint_names(captured)] == ["Asgi"]


@pytest.mark.skipif(
    tuple(map(int, starlette.__version__.split(".")[:2])) < (1, 8),
    reason="earlier Starlettes do not say which route matched",
)
def test_a_mounted_application_that_hides_its_routes_is_followed(captured: Captured) -> None:
    class Wrapper:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    app = observed(Mount("/v1", app=Wrapper(Router([Route("/items/{item_id}", read_item)]))))
    assert ask(app, "/v1/items/7") == 200
    assert server_names(captured) == ("GET /v1/items/{item_id}", "/v1/items/{item_id}")
    assert [name for name, _ in endpoint_names(captured)] == ["read_item"]


def test_a_mounts_own_middleware_changes_no_name(captured: Captured) -> None:
    class Through(Asgi):
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    routes = [Route("/items", list_items)]
    ask(observed(Mount("/v1", routes=routes, middleware=[Middleware(Through)])), "/v1/items")
    assert server_names(captured) == ("GET /v1/items", "/v1/items")
    assert [name for name, _ in endpoint_names(captured)] == ["list_items"]


def test_a_host_route_adds_nothing(captured: Captured) -> None:
    app = observed(Host("{sub}.example.org", Router([Route("/items", list_items)])))
    assert ask(app, "/items", base_url="http://api.example.org") == 200
    assert server_names(captured) == ("GET /items", "/items")


def test_an_application_mounted_with_the_middleware_too_is_observed_once(
    captured: Captured,
) -> None:
    """getsentry/sentry-python#1841: Fix middleware being patched multiple times when using
    FastAPI.
    """
    inner = observed(Route("/items", list_items))
    ask(observed(Mount("/v1", app=inner)), "/v1/items")
    assert server_names(captured) == ("GET /v1/items", "/v1/items")


def test_the_proxys_root_path_is_no_part_of_the_template(captured: Captured) -> None:
    app = observed(Route("/items", list_items))
    assert TestClient(app, root_path="/behind").get("/items").status_code == 200
    assert server_names(captured) == ("GET /items", "/items")
