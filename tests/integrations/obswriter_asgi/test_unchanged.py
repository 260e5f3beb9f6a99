"""With the middleware, applications answer as without: the same status, headers and body.

They are written along the lines of Starlette's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("python_multipart", reason="python-multipart reads forms")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from obswriter_testsupport.unchanged import get, same

if TYPE_CHECKING:
    from pathlib import Path

    from obswriter.testing import Captured


class Users(HTTPEndpoint):
    async def get(self, request: Any) -> Response:
        return JSONResponse(
            {"user": request.path_params["name"], "query": dict(request.query_params)}
        )

    async def post(self, request: Any) -> Response:
        return PlainTextResponse(await request.body(), status_code=201)


async def upload(request: Any) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


async def form(request: Any) -> Response:
    async with request.form() as fields:
        return JSONResponse(
            {"name": fields["name"], "file": (await fields["file"].read()).decode()}
        )


async def numbers(request: Any) -> Response:
    async def chunks() -> Any:
        for number in range(3):
            yield f"{number},"

    return StreamingResponse(chunks(), media_type="text/plain")


def cookie(request: Any) -> Response:
    response = PlainTextResponse(request.cookies.get("seen", "never"))
    response.set_cookie("seen", "once", max_age=60, httponly=True)
    return response


def task(request: Any) -> Response:
    return JSONResponse({}, background=BackgroundTask(print, "sent"))


def address(request: Any) -> Response:
    return PlainTextResponse(str(request.url_for("user", name="anna")))


def fails(request: Any) -> Response:
    raise RuntimeError("out of tea")


def gone(request: Any) -> Response:
    raise HTTPException(410, headers={"x-reason": "sold"})


async def not_found(request: Any, error: Exception) -> Response:
    return PlainTextResponse("nothing here", status_code=404)


async def server_error(request: Any, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=500)


def site(folder: Path) -> Starlette:
    admin = Router([Route("/", gone), Route("/{page:path}", cookie)])
    return Starlette(
        routes=[
            Route("/users/{name}", Users, name="user"),
            Route("/numbers/{number:int}", numbers),
            Route("/upload", upload, methods=["PUT"]),
            Route("/form", form, methods=["POST"]),
            Route("/cookie", cookie),
            Route("/task", task),
            Route("/address", address),
            Route("/moved", lambda request: RedirectResponse("/address")),
            Route("/file", lambda request: FileResponse(folder / "page.txt")),
            Route("/fails", fails),
            Mount("/static", StaticFiles(directory=folder), name="static"),
            Host("admin.example", admin),
            Mount("/admin", admin),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "*.example"]),
            Middleware(CORSMiddleware, allow_origins=["https://shop.example"]),
            Middleware(GZipMiddleware, minimum_size=500),
        ],
        exception_handlers={404: not_found, Exception: server_error},
    )


FILES = {"file": ("tea.txt", b"green", "text/plain")}
SITE = [
    get("/users/anna?page=2&page=3"),
    ("POST", "/users/anna", {"content": b"body"}),
    ("DELETE", "/users/anna", {}),
    ("HEAD", "/cookie", {}),
    ("OPTIONS", "/cookie", {"headers": {"origin": "https://shop.example",
                                        "access-control-request-method": "GET"}}),
    get("/cookie"),
    get("/cookie", headers={"origin": "https://shop.example"}),
    ("PUT", "/upload", {"content": [b"x" * 1000] * 50}),
    ("POST", "/form", {"data": {"name": "anna"}, "files": FILES}),
    get("/numbers/3"),
    get("/numbers/three"),
    get("/task"),
    get("/address", headers={"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}),
    get("/moved"),
    get("/users/"),
    get("/file"),
    get("/file", headers={"range": "bytes=5-9"}),
    get("/static/page.txt"),
    get("/static/page.txt", headers={"if-none-match": "*"}),
    get("/static/none.txt"),
    get("/static/../secret"),
    get("/admin/"),
    get("/admin"),
    get("/admin/deep/path"),
    get("/x", headers={"host": "admin.example"}),
    get("/", headers={"host": "elsewhere.test"}),
    get("/nowhere"),
    ("BREW", "/cookie", {}),
    get("/fails"),
]  # fmt: skip


def test_starlettes_routes_responses_and_middleware(tmp_path: Path, captured: Captured) -> None:
    (tmp_path / "page.txt").write_text("0123456789" * 100)
    statuses = same(lambda: site(tmp_path), SITE, captured)
    seen = {200, 201, 206, 304, 307, 400, 404, 405, 410, 500}
    assert seen <= set(statuses), "the application shows less than it should"
