"""requests, at its adapters: they send one request each time, whatever the session makes of it."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Unpack

from .options import ClientOptions, Options
from .replacing import Observation, Undo, undo_all
from .wire import VERSIONS, Wire


def observe_requests(session: object = None, **options: Unpack[Options]) -> Undo:
    """Record each request of requests as a client span, and send ``traceparent`` along.

    Without a *session* those of all sessions of the process, as far as ``HTTPAdapter`` or a
    subclass of it sends them; with one, those of the adapters that are mounted on it now.

    Each redirect is a request with a span of its own. Called again, the last options count.
    Returns the undo. ``ModuleNotFoundError`` without the library, ``TypeError`` and
    ``ValueError`` for wrong options.
    """
    checked = ClientOptions.check(**options)
    if find_spec("requests") is None:
        raise ModuleNotFoundError(
            "observe_requests() needs requests: pip install requests", name="requests"
        )
    requests: Any = import_module("requests")
    if session is None:
        return Observation(requests.adapters.HTTPAdapter, "send", _WIRE, checked).undo
    if not isinstance(session, requests.Session):
        raise TypeError(f"session must be a Session of requests; got {session!r}")
    adapters = {id(adapter): adapter for adapter in session.adapters.values()}
    return undo_all([Observation(each, "send", _WIRE, checked) for each in adapters.values()])


class _RequestsWire(Wire):
    def version(self, response: Any) -> str | None:
        return VERSIONS.get(getattr(response.raw, "version", None) or 0)


_WIRE: Final = _RequestsWire()
