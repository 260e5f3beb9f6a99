"""A Django project for these tests alone: the other folders never see its settings."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from obswriter import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if importlib.util.find_spec("django") is None:
    collect_ignore_glob = ["test_*.py"]

MIDDLEWARE = ["obswriter_django.ObservabilityMiddleware"]


@pytest.fixture(scope="session", autouse=True)
def project() -> None:
    """Configured when the first of these tests runs, and not when they are collected."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["obswriter_django"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=MIDDLEWARE,
        OBSWRITER={"PROJECT_ID": "django-tests"},
        ROOT_URLCONF=(),
        SECRET_KEY="only for tests",
    )
    before = process.exchange(None)
    try:
        django.setup()
    finally:
        process.exchange(before)


@pytest.fixture
def cache(settings: Any) -> Any:
    """Django's cache, whose uses are spans."""
    from django.core.cache import caches

    from obswriter_django.spans import watch_spans

    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.OBSWRITER = {"CACHE": True}
    watch_spans()
    return caches["default"]


class Answer(NamedTuple):
    status: int
    body: bytes


class Site:
    """The tiny site of one test, asked in WSGI's or in ASGI's way."""

    def __init__(self, settings: Any, asynchronous: bool) -> None:
        self.settings = settings
        self.asynchronous = asynchronous

    def has(self, *urls: Any) -> None:
        self.settings.ROOT_URLCONF = urls

    def request(self, method: str, path: str, **options: Any) -> Answer:
        from asgiref.sync import async_to_sync

        if self.asynchronous:
            return async_to_sync(self._request_async)(method, path, **options)
        from django.test import Client

        response = Client(raise_request_exception=False).generic(method, path, **options)
        streaming = getattr(response, "streaming", False)
        body = b"".join(response.streaming_content) if streaming else response.content
        return Answer(response.status_code, body)

    async def _request_async(self, method: str, path: str, **options: Any) -> Answer:
        from django.test import AsyncClient

        client = AsyncClient(raise_request_exception=False)
        response = await client.generic(method, path, **options)
        if not getattr(response, "streaming", False):
            return Answer(response.status_code, response.content)
        return Answer(response.status_code, b"".join([part async for part in response]))

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)


@pytest.fixture(params=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest, settings: Any) -> Site:
    return Site(settings, request.param == "asgi")


@pytest.fixture
def wsgi_site(settings: Any) -> Site:
    return Site(settings, False)


@pytest.fixture
def asgi_site(settings: Any) -> Site:
    return Site(settings, True)


@pytest.fixture
def unconfigured() -> Iterator[Callable[[], Any]]:
    """A process in which nobody has configured obswriter; returns its writer, once there is one."""
    before = process.exchange(None)

    def writer() -> Any:
        current = process.exchange(None)
        process.exchange(current)
        return current

    yield writer
    made = process.exchange(before)
    if made is not None:
        made.shutdown()
