"""The clients that are observed, all asked in one way; each request by a client of its own."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from importlib import import_module
from typing import TYPE_CHECKING, Any

import obswriter_client

if TYPE_CHECKING:
    from collections.abc import Callable


class Httpx:
    library = "httpx"

    def observe(self, **options: Any) -> Callable[[], None]:
        return obswriter_client.observe_httpx(**options)

    def ask(self, url: str, method: str = "GET", *, headers: Any = None, body: Any = None) -> int:
        """Follow redirects; return the status."""
        module = import_module(self.library)
        with module.Client(follow_redirects=True, trust_env=False) as client:
            status: int = client.request(method, url, headers=headers, content=body).status_code
            return status


class Httpx2(Httpx):
    library = "httpx2"


class AsyncHttpx(Httpx):
    def ask(self, url: str, method: str = "GET", *, headers: Any = None, body: Any = None) -> int:
        async def pieces() -> Any:
            for piece in body:
                yield piece

        async def send() -> int:
            module = import_module(self.library)
            content = body if body is None or isinstance(body, bytes) else pieces()
            async with module.AsyncClient(follow_redirects=True, trust_env=False) as client:
                found = await client.request(method, url, headers=headers, content=content)
                status: int = found.status_code
                return status

        return asyncio.run(send())


class Requests(Httpx):
    library = "requests"

    def observe(self, **options: Any) -> Callable[[], None]:
        return obswriter_client.observe_requests(**options)

    def ask(self, url: str, method: str = "GET", *, headers: Any = None, body: Any = None) -> int:
        with import_module(self.library).Session() as session:
            session.trust_env = False
            status: int = session.request(method, url, headers=headers, data=body).status_code
            return status


class Urllib(Httpx):
    library = "urllib.request"

    def observe(self, **options: Any) -> Callable[[], None]:
        return obswriter_client.observe_urllib(**options)

    def ask(self, url: str, method: str = "GET", *, headers: Any = None, body: Any = None) -> int:
        request = urllib.request.Request(url, body, headers or {}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as response:
                status: int = response.status
                return status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


CLIENTS: dict[str, Httpx] = {
    "httpx": Httpx(),
    "httpx2": Httpx2(),
    "async httpx": AsyncHttpx(),
    "requests": Requests(),
    "urllib": Urllib(),
}
