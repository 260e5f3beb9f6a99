"""Django's requests: without anything, with obswriter, with a peer; under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import io
import sys
import types
from collections.abc import Callable
from typing import Any

from calls import http_scope
from spans import count_exported, opentelemetry
from workload import Workload, count_in_files

Serving = Callable[[], Callable[[int], None]]


def _configure(**settings: Any) -> None:
    """Set up a project with one trivial route."""
    import django
    from django.conf import settings as project
    from django.http import HttpResponse
    from django.urls import path

    def order(request: Any, id: int) -> HttpResponse:
        return HttpResponse("paid", content_type="text/plain")

    async def aorder(request: Any, id: int) -> HttpResponse:
        return HttpResponse("paid", content_type="text/plain")

    urls: Any = types.ModuleType("bench_urls")
    urls.urlpatterns = [path("orders/<int:id>", order), path("aorders/<int:id>", aorder)]
    sys.modules["bench_urls"] = urls
    project.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF="bench_urls", SECRET_KEY="bench", USE_TZ=True, **settings
    )
    django.setup()


def _wsgi() -> Callable[[int], None]:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders/7",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "shop.example.com",
        "HTTP_USER_AGENT": "bench",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }

    def work(count: int) -> None:
        for _ in range(count):
            response = application(dict(environ), lambda status, headers: None)
            assert list(response) == [b"paid"]
            response.close()

    return work


def _asgi() -> Callable[[int], None]:
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    scope = http_scope("/aorders/7")

    async def request() -> None:
        answered = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                assert message["body"] == b"paid"
                answered.set()

        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:  # it looks out for the client's going away
                await answered.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        await application(dict(scope), receive, send)

    async def requests(count: int) -> None:
        for _ in range(count):
            await request()

    runner = asyncio.Runner()
    return lambda count: runner.run(requests(count))


def bare(serving: Serving, folder: str) -> Workload:
    """Nobody watches."""
    _configure(MIDDLEWARE=[])
    return Workload(serving())


def obswriter_views(serving: Serving, folder: str) -> Workload:
    """The middleware: a trace, a server span and a view's span each."""
    import obswriter

    middleware = "obswriter_django.ObservabilityMiddleware"
    options = {"FILE_STORAGE": folder, "PROJECT_ID": "bench"}
    _configure(INSTALLED_APPS=["obswriter_django"], MIDDLEWARE=[middleware], OBSWRITER=options)
    return Workload(serving(), obswriter.flush, count_in_files(folder), per_piece=3)


def opentelemetry_views(serving: Serving, folder: str) -> Workload:
    """opentelemetry-instrumentation-django: a server span each."""
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    provider, _ = opentelemetry(folder)
    _configure(MIDDLEWARE=[])
    DjangoInstrumentor().instrument(tracer_provider=provider)
    return Workload(serving(), provider.force_flush, count_exported(folder))


def _both(name: str, side: Callable[[Serving, str], Workload]) -> dict[str, Any]:
    return {
        f"{name} Django request".strip(): lambda folder: side(_wsgi, folder),
        f"{name} async Django request".strip(): lambda folder: side(_asgi, folder),
    }


WORKLOADS: dict[str, Callable[[str], Workload]] = {
    **_both("bare", bare),
    **_both("", obswriter_views),
    **_both("opentelemetry", opentelemetry_views),
}
