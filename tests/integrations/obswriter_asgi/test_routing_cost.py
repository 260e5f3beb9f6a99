"""Routes are matched as often as without the middleware, whoever has written them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obswriter_asgi import ObservabilityMiddleware

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from obswriter.testing import Captured


class Counting(Route):
    """A route of the application's own making."""

    asked = 0

    def matches(self, scope: Any) -> Any:
        Counting.asked += 1
        return super().matches(scope)


def ok(request: Any) -> Response:
    return PlainTextResponse("ok")


def shop() -> Starlette:
    teas = Router([Counting("/", ok), Counting("/{tea}", ok)])
    return Starlette(
        routes=[Counting("/", ok), Counting("/items/{item}", ok), Mount("/teas", teas)]
    )


@pytest.mark.parametrize("path", ["/", "/items/7", "/teas/assam", "/nowhere", "/teas/a/b"])
def test_no_route_is_matched_a_second_time(captured: Captured, path: str) -> None:
    asked = []
    for app in (shop(), ObservabilityMiddleware(shop())):
        Counting.asked = 0
        TestClient(app).get(path)
        asked.append(Counting.asked)
    assert asked[0] == asked[1]


def test_a_route_class_of_the_applications_own_has_its_template(captured: Captured) -> None:
    TestClient(ObservabilityMiddleware(shop())).get("/teas/assam")
    assert captured.one("span", spanKind="server")["name"] == "GET /teas/{tea}"


def test_a_route_class_of_fastapis_users_has_its_template(captured: Captured) -> None:
    fastapi = pytest.importorskip("fastapi")
    from fastapi.routing import APIRoute

    class Timed(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def timed(request: Any) -> Any:
                response = await handler(request)
                response.headers["x-timed"] = "yes"
                return response

            return timed

    router = fastapi.APIRouter(prefix="/api", route_class=Timed)
    router.add_api_route("/items/{item}", lambda item: item)
    app = fastapi.FastAPI()
    app.include_router(router)
    response = TestClient(ObservabilityMiddleware(app)).get("/api/items/7")
    assert response.headers["x-timed"] == "yes"
    assert captured.one("span", spanKind="server")["name"] == "GET /api/items/{item}"


def test_an_application_mounted_twice_is_told_apart_and_observed_once(captured: Captured) -> None:
    inner = shop()
    inner.add_middleware(ObservabilityMiddleware)
    app = Starlette(routes=[Mount("/a", inner), Mount("/b", inner)])
    client = TestClient(ObservabilityMiddleware(ObservabilityMiddleware(app)))
    for path in ("/a/items/7", "/b/items/7"):
        assert client.get(path).text == "ok"
    names = [span["name"] for span in captured.events("span", spanKind="server")]
    assert names == ["GET /a/items/{item}", "GET /b/items/{item}"]
