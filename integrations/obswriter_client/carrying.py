"""Sends the current span along with a request, whose headers are its own again afterwards."""

from typing import Any, Final

from obswriter.propagation import inject

from .wire import Wire

NAMES: Final = ("traceparent", "tracestate", "baggage")


class Carried:
    """The headers of a request while they name a span.

    A copy takes their place: whoever sends the same request again, maybe at the same time, and
    whoever builds the next one from it after a redirect, finds the headers that the user set.

    A ``traceparent`` of the user's own gives way: the span of the request is the one whose child
    the other side is, also where the headers of an incoming request are passed on as they are. A
    ``tracestate`` goes with it. The members of a ``baggage`` that the user set stay.
    """

    __slots__ = ("_copies", "_originals", "_request")

    def __init__(self, wire: Wire, request: Any) -> None:
        self._request = request
        self._copies: dict[str, Any] = {}
        self._originals: dict[str, Any] = {}
        carrier: dict[str, str] = {}
        inject(carrier)
        if not carrier:
            return
        for layer in wire.layers:
            found = getattr(request, layer)
            self._originals[layer] = original = getattr(found, "obswriter_original", found)
            copy = _Headers(original) if type(original) is dict else original.copy()
            copy.obswriter_original = original
            self._copies[layer] = copy
        _write(carrier, list(self._copies.values()), wire)
        for layer, copy in self._copies.items():
            setattr(request, layer, copy)

    def take_back(self) -> None:
        """Give the request its own headers back; what others put in their place stays."""
        for layer, copy in self._copies.items():
            if getattr(self._request, layer) is copy:
                setattr(self._request, layer, self._originals[layer])


class _Headers(dict[str, Any]):
    """A dict that knows of which one it is a copy."""

    obswriter_original: dict[str, Any]


def _write(carrier: dict[str, str], layers: list[Any], wire: Wire) -> None:
    for name in NAMES:
        spelt = wire.spell(name)
        own = [layer.pop(spelt) for layer in layers if spelt in layer]
        if name == "baggage" and own:
            layers[-1][spelt] = _join(own[-1], carrier.get(name, ""))
        elif name in carrier:
            layers[-1][spelt] = carrier[name]


def _join(own: str | bytes, ours: str) -> str:
    """Add to the user's own list what it does not say itself."""
    text = own.decode("latin-1") if isinstance(own, bytes) else str(own)
    keys = {_key(member) for member in text.split(",")}
    return ",".join([text, *(m for m in ours.split(",") if m and _key(m) not in keys)])


def _key(member: str) -> str:
    return member.partition("=")[0].strip()
