"""urllib.request, at the method all its HTTP handlers send their requests with."""

from importlib import import_module
from typing import Any, Final, Unpack

from .options import ClientOptions, Options
from .replacing import Observation, Undo
from .wire import VERSIONS, Items, Wire


def observe_urllib(**options: Unpack[Options]) -> Undo:
    """Record each request of ``urllib.request`` as a client span, and send ``traceparent`` along.

    Those of ``urlopen()`` and of every opener; ``file:``, ``data:`` and ``ftp:`` are none. Each
    redirect is a request with a span of its own. Called again, the last options count. Returns
    the undo. ``TypeError`` and ``ValueError`` for wrong options.
    """
    checked = ClientOptions.check(**options)
    request: Any = import_module("urllib.request")
    return Observation(request.AbstractHTTPHandler, "do_open", _WIRE, checked).undo


class _UrllibWire(Wire):
    parameter = "req"
    position = 1
    layers = ("headers", "unredirected_hdrs")

    def spell(self, name: str) -> str:
        return name.capitalize()

    def method(self, request: Any) -> str | None:
        found: str | None = request.get_method()
        return found

    def url(self, request: Any) -> str:
        url: str = request.full_url
        return url

    def sent(self, request: Any) -> Items:
        items: Items = request.header_items()
        return items

    def status(self, response: Any) -> int | None:
        found: int | None = response.status
        return found

    def version(self, response: Any) -> str | None:
        return VERSIONS.get(response.version)


_WIRE: Final = _UrllibWire()
