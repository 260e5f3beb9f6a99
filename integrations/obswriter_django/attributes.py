"""What a request is called and described by, after OpenTelemetry's conventions for HTTP.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest
from django.http.request import split_domain_port
from django.urls import ResolverMatch
from django.utils.functional import LazyObject

from obswriter_http import PORTS, TrustedProxies, method_attributes, split_host


def request_attributes(request: HttpRequest, proxies: TrustedProxies) -> dict[str, Any]:
    """Describe a request by its line, its headers and its connection, never by its body."""
    meta, scheme = request.META, request.scheme
    address, port = _server(meta)
    known = {
        **method_attributes(request.method),
        "url.scheme": scheme,
        "url.path": request.path,
        "url.query": meta.get("QUERY_STRING"),
        "server.address": address,
        "server.port": int(port) if port.isdecimal() else PORTS.get(scheme or ""),
        "client.address": meta.get("REMOTE_ADDR"),
        "network.protocol.version": _protocol_version(request),
        "user_agent.original": meta.get("HTTP_USER_AGENT"),
    }
    if proxies:
        known.update(_believed(proxies, meta))
    return {name: value for name, value in known.items() if value}


def _believed(proxies: TrustedProxies, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a trusted proxy says takes the place of what the connection shows."""
    peer = meta.get("REMOTE_ADDR")
    origin = proxies.origin(peer, lambda name: meta.get(f"HTTP_{name.upper().replace('-', '_')}"))
    if origin is None:
        return {}
    found: dict[str, Any] = {"network.peer.address": peer, "client.address": origin.client}
    if origin.scheme:
        found["url.scheme"] = origin.scheme.lower()
    if origin.host:
        default = PORTS.get(found.get("url.scheme", ""))
        found["server.address"], found["server.port"] = split_host(origin.host, default)
    return found


def _server(meta: Mapping[str, Any]) -> tuple[str, str]:
    """As the client named it, valid or not: ``get_host()`` would refuse some."""
    if "HTTP_HOST" in meta:
        address, port = split_domain_port(meta["HTTP_HOST"])
        return address.strip("[]"), port
    return meta.get("SERVER_NAME", ""), meta.get("SERVER_PORT", "")


def _protocol_version(request: HttpRequest) -> str | None:
    scope = getattr(request, "scope", None)
    if scope is not None:
        version: str | None = scope.get("http_version")
        return version
    return str(request.META.get("SERVER_PROTOCOL", "")).partition("/")[2]


def user_id(request: HttpRequest) -> str | None:
    """Return whose request it is, if somebody has asked for that: to ask would be a query."""
    known = vars(request)
    user = known.get("_cached_user") or known.get("_acached_user") or known.get("user")
    found = None if isinstance(user, LazyObject) else getattr(user, "pk", None)
    return None if found is None else str(found)


def route_of(match: ResolverMatch, root: str) -> str:
    """Return the route, with where the site is mounted before it: ``/shop/items/<int:pk>/``."""
    return f"{root.rstrip('/')}/{template_of(match.route)}"


@functools.lru_cache(maxsize=1024)
def template_of(route: str) -> str:
    """Return a route as it is, or a regular expression in the form of a route.

    ``^items/(?P<pk>[0-9]+)/$`` becomes ``items/<pk>/``.
    """
    if not any(sign in route for sign in ("^", "$", "(?P<", "\\Z")):
        return route
    text, depth = "", 0
    for token in _tokens.finditer(route):
        if token["opening"]:
            text += "" if depth else f"<{token['name'] or 'var'}>"
            depth += 1
        elif token["closing"]:
            depth -= 1
        elif not depth and not token["noise"]:
            text += token["escaped"] or token[0]
    return text


_tokens = re.compile(
    r"(?P<opening>\((?:\?P<(?P<name>\w+)>)?)|(?P<closing>\))|(?P<noise>[\^$?*+]|\\[AbBZ])"
    r"|\\(?P<escaped>\W)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)


def view_names(view: Callable[..., Any], method: str) -> tuple[str, str]:
    """Return the short and the full name of what answers: a function, or a class's method."""
    while isinstance(view, functools.partial):
        view = view.func
    owner = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if isinstance(owner, type):
        actions: dict[str, str] = getattr(view, "actions", None) or {}  # REST framework's viewsets
        name = owner.__name__
        if owner.__qualname__ != "WrappedAPIView":  # which it makes of a function, named so
            name += f".{_handler(owner, actions, method.lower())}"
        return name, f"{owner.__module__}.{name}"
    name = getattr(view, "__qualname__", "") or f"{type(view).__qualname__}.__call__"
    return name.rpartition("<locals>.")[2], f"{view.__module__}.{name}"


def _handler(owner: type, actions: dict[str, str], method: str) -> str:
    name = actions.get(method, method)
    if method == "head" and not hasattr(owner, name):
        name = actions.get("get", "get")
    return name if hasattr(owner, name) else "http_method_not_allowed"
