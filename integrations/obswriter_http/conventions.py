"""OpenTelemetry's stable conventions for HTTP servers.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import functools
from typing import Any, Final

METHODS: Final = frozenset("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())
PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def name_method(method: str | None) -> str:
    """Return a span name of few possible values: clients may send any word as a method."""
    return method if method in METHODS else "HTTP"


def method_attributes(method: str | None) -> dict[str, Any]:
    """Return the attributes of a method; an unknown one is ``_OTHER``."""
    if method in METHODS:
        return {"http.request.method": method}
    found: dict[str, Any] = {"http.request.method": "_OTHER"}
    if method:
        found["http.request.method_original"] = method
    return found


@functools.lru_cache(maxsize=256)  # a server is known by few names
def split_host(host: str, default: int | None) -> tuple[str, int | None]:
    """Take a ``Host`` header apart; *default* is the port of one that names none."""
    address, colon, digits = host.rpartition(":")
    if not colon or digits.endswith("]"):  # an IPv6 address has colons of its own
        return host.strip("[]"), default
    return address.strip("[]"), int(digits) if digits.isdecimal() and len(digits) < 6 else default
