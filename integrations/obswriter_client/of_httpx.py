"""httpx, under either of the names it is installed by."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Unpack

from .options import ClientOptions, Options
from .replacing import Observation, Undo, undo_all
from .wire import Items, Wire

NAMES: Final = ("httpx", "httpx2")


def observe_httpx(client: object = None, **options: Unpack[Options]) -> Undo:
    """Record each request of httpx or httpx2 as a client span, and send ``traceparent`` along.

    Without a *client* those of all clients of the process that use the library's own
    ``HTTPTransport`` or ``AsyncHTTPTransport``, proxies included; with a ``Client`` or
    ``AsyncClient`` its requests only, whatever transports it has (``ASGITransport``, say).

    Each redirect is a request with a span of its own. Called again, the last options count.
    Returns the undo. ``ModuleNotFoundError`` without the library, ``TypeError`` and
    ``ValueError`` for wrong options.
    """
    checked = ClientOptions.check(**options)
    if client is not None:
        awaited = _is_async(client)
        wrapped = Observation(client, "_send_single_request", _WIRE, checked, awaited=awaited)
        return wrapped.undo
    modules = [import_module(name) for name in NAMES if find_spec(name) is not None]
    if not modules:
        raise ModuleNotFoundError(
            "observe_httpx() needs httpx or httpx2: pip install httpx", name=NAMES[0]
        )
    observations = []
    for module in modules:
        sync, awaited = module.HTTPTransport, module.AsyncHTTPTransport
        observations.append(Observation(sync, "handle_request", _WIRE, checked))
        observations.append(
            Observation(awaited, "handle_async_request", _WIRE, checked, awaited=True)
        )
    return undo_all(observations)


def _is_async(client: object) -> bool:
    for name in NAMES:
        module: Any = sys.modules.get(name)
        if module is not None and isinstance(client, module.Client | module.AsyncClient):
            return isinstance(client, module.AsyncClient)
    raise TypeError(f"client must be a Client or an AsyncClient of httpx; got {client!r}")


class _HttpxWire(Wire):
    def sent(self, request: Any) -> Items:
        items: Items = request.headers.multi_items()
        return items

    def version(self, response: Any) -> str | None:
        """Return what the connection says; transports without one say nothing."""
        told = response.extensions.get("http_version")
        return told.decode("ascii").removeprefix("HTTP/") if isinstance(told, bytes) else None

    def received(self, response: Any) -> Items:
        items: Items = response.headers.multi_items()
        return items


_WIRE: Final = _HttpxWire()
