"""What a request's scope says, in OpenTelemetry's stable HTTP conventions.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from obswriter import SpanContext
from obswriter.propagation import parse_baggage, parse_traceparent
from obswriter_http import PORTS, TrustedProxies, method_attributes, split_host

from .types import Scope

Headers = Sequence[tuple[bytes, bytes]]


def describe_request(
    scope: Scope, headers: Mapping[bytes, bytes], proxies: TrustedProxies
) -> dict[str, Any]:
    """Return the attributes that are known when a request arrives."""
    scheme: str = scope.get("scheme") or "http"
    attributes = method_attributes(scope.get("method", "GET"))  # a WebSocket's handshake has none
    attributes["url.path"] = scope["path"]
    attributes["url.scheme"] = scheme
    query = scope.get("query_string")
    if query:
        attributes["url.query"] = query.decode("latin-1")
    host = headers.get(b"host")
    _add_server(attributes, scope, host.decode("latin-1") if host else None, scheme)
    client = scope.get("client")
    if client and client[0]:
        attributes["client.address"] = client[0]
    if version := scope.get("http_version"):
        attributes["network.protocol.version"] = version
    if agent := headers.get(b"user-agent"):
        attributes["user_agent.original"] = agent.decode("latin-1")
    if proxies:
        _believe(proxies, attributes, scope)
    return attributes


def _add_server(attributes: dict[str, Any], scope: Scope, host: str | None, scheme: str) -> None:
    """The name the client used, when it said one: the socket may be a proxy's back side."""
    address: str
    port: int | None
    if host:
        address, port = split_host(host, PORTS.get(scheme))
    elif server := scope.get("server"):
        address, port = server
    else:
        return
    attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port


def _believe(proxies: TrustedProxies, attributes: dict[str, Any], scope: Scope) -> None:
    """Put what a trusted proxy says in the place of what the connection shows."""

    def get_header(name: str) -> str | None:
        wanted = name.encode("latin-1")
        values = [value.decode("latin-1") for key, value in scope["headers"] if key == wanted]
        return ",".join(values) or None

    peer = attributes.get("client.address")
    origin = proxies.origin(peer, get_header)
    if origin is None:
        return
    attributes["network.peer.address"] = peer
    attributes["client.address"] = origin.client
    if origin.scheme:
        attributes["url.scheme"] = origin.scheme.lower()
    if origin.host:
        _add_server(attributes, scope, origin.host, attributes["url.scheme"])


def find_caller(raw: Headers, headers: Mapping[bytes, bytes]) -> SpanContext | None:
    """Return the span the request was made in; two ``traceparent`` headers name none."""
    parent = headers.get(b"traceparent")
    if parent is None or sum(name == b"traceparent" for name, _ in raw) > 1:
        return None
    lists = _joined(raw, b"tracestate"), _joined(raw, b"baggage")
    return parse_traceparent(parent.decode("latin-1"), *lists)


def find_baggage(raw: Headers, headers: Mapping[bytes, bytes]) -> str:
    """Return what a request carries along, whether it names a caller or not."""
    return parse_baggage(_joined(raw, b"baggage")) if b"baggage" in headers else ""


def _joined(raw: Headers, wanted: bytes) -> str:
    return b",".join(value for name, value in raw if name == wanted).decode("latin-1")


def as_text(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield headers as texts."""
    for name, value in headers:
        yield name.decode("latin-1"), value.decode("latin-1")


def user_id(user: Any) -> str | None:
    """Return who an authenticated user is: the identity, or for want of one the name."""
    if not getattr(user, "is_authenticated", False):
        return None
    try:
        return str(user.identity)
    except (AttributeError, NotImplementedError):
        return str(user.display_name)


def name_endpoint(endpoint: Any) -> tuple[str, str]:
    """Return an endpoint's short name, and its qualified one with its module."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if not hasattr(endpoint, "__qualname__"):
        endpoint = type(endpoint)
    qualified: str = endpoint.__qualname__
    return qualified.rpartition("<locals>.")[2], f"{endpoint.__module__}.{qualified}"
