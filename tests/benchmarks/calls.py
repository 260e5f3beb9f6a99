"""Web requests: without anything, with obswriter, with a peer."""

from __future__ import annotations

import asyncio
from typing import Any

from spans import count_exported, opentelemetry
from workload import Workload, count_in_files


def bare_request(folder: str) -> Workload:
    """A trivial Starlette route, called as a server would, without a socket."""
    return _request_work(_application())


def obswriter_request(folder: str) -> Workload:
    """The same behind obswriter's middleware."""
    import obswriter
    from obswriter_asgi import ObservabilityMiddleware

    obswriter.configure(file_storage=folder, project_id="bench")
    work = _request_work(ObservabilityMiddleware(_application())).work
    return Workload(work, obswriter.flush, count_in_files(folder), per_piece=3)


def opentelemetry_request(folder: str) -> Workload:
    """The same behind opentelemetry-instrumentation-asgi, without its send and receive spans."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    provider, _ = opentelemetry(folder)
    application = OpenTelemetryMiddleware(
        _application(), tracer_provider=provider, exclude_spans=["receive", "send"]
    )
    return Workload(_request_work(application).work, provider.force_flush, count_exported(folder))


def starlette_request(folder: str) -> Workload:
    """The same behind Starlette's own OpenTelemetry middleware."""
    from starlette.middleware.opentelemetry import OpenTelemetryMiddleware

    provider, _ = opentelemetry(folder)
    application = OpenTelemetryMiddleware(_application(), tracer_provider=provider)
    return Workload(_request_work(application).work, provider.force_flush, count_exported(folder))


def _application() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def order(request: Any) -> PlainTextResponse:
        return PlainTextResponse("paid")

    return Starlette(routes=[Route("/orders/{id}", order)])


def http_scope(path: str) -> dict[str, Any]:
    """Return what a server says of a request for *path*."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example.com"), (b"user-agent", b"bench")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


def _request_work(application: Any) -> Workload:
    scope = http_scope("/orders/7")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def requests(count: int) -> None:
        for _ in range(count):
            await application(dict(scope), receive, send)

    runner = asyncio.Runner()
    return Workload(lambda count: runner.run(requests(count)))


WORKLOADS = {
    "request": obswriter_request,
    "bare request": bare_request,
    "opentelemetry request": opentelemetry_request,
    "starlette's opentelemetry request": starlette_request,
}
