"""The options of every client, checked where the user wrote them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from ipaddress import ip_address
from typing import TypedDict

from obswriter_http import HeaderNames, Hook

from .target import Target

_is_name = re.compile(r"[\w.-]+").fullmatch
_is_url = re.compile(r"https?://[^\s/?#@*]+/[^\s?#*]*\*?", re.IGNORECASE).fullmatch


class Options(TypedDict, total=False):
    """What each ``observe_*`` may be told.

    ``exclude``: where requests go that are left alone, with neither a span nor a ``traceparent``:
    hosts (``"example.com"``), or URLs without their query, exact or beginnings with a ``*``
    (``"https://example.com/static/*"``).
    ``request_headers``, ``response_headers``: names of headers to record, or beginnings with a
    ``*``; values named like secrets are taken out.
    ``on_request``, ``on_response``: called with the client span and the library's request or
    response, the request before and the response after it went over the wire. They must not be
    coroutine functions; what they raise is logged.
    """

    exclude: Sequence[str]
    request_headers: Iterable[str]
    response_headers: Iterable[str]
    on_request: Hook | None
    on_response: Hook | None


class Exclusions:
    """The hosts and the URLs of an option."""

    __slots__ = ("_beginnings", "_exact", "_hosts")

    def __init__(self, option: str, value: object) -> None:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset):
            raise TypeError(
                f"{option} must be a sequence of hosts and URLs, such as ['example.com', "
                f"'https://example.com/static/*']; got {value!r}"
            )
        hosts = [_host(item) for item in value]
        urls = [_url(option, item) for item, host in zip(value, hosts, strict=True) if not host]
        self._hosts = frozenset(filter(None, hosts))
        self._exact = frozenset(url for url in urls if not url.endswith("*"))
        self._beginnings = tuple(url[:-1] for url in urls if url.endswith("*"))

    def match(self, target: Target) -> bool:
        """Return whether a request is one of them."""
        if target.host in self._hosts:
            return True
        if not self._exact and not self._beginnings:
            return False
        resource = target.resource()
        return resource in self._exact or resource.startswith(self._beginnings)


def _host(item: object) -> str | None:
    if not isinstance(item, str):
        return None
    host = item.lower().removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(host))
    except ValueError:
        return host if _is_name(host) else None


def _url(option: str, item: object) -> str:
    try:
        if isinstance(item, str) and _is_url(item):
            return Target(item).resource()
    except ValueError:
        pass
    raise ValueError(
        f"{option} must hold hosts, such as 'example.com', and URLs without a user and a query, "
        f"such as 'https://example.com/health', or their beginnings, such as "
        f"'https://example.com/static/*'; got {item!r}"
    )


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """``Options`` that were checked."""

    exclude: Exclusions
    request_headers: HeaderNames
    response_headers: HeaderNames
    on_request: Hook | None
    on_response: Hook | None

    @classmethod
    def check(
        cls,
        *,
        exclude: Sequence[str] = (),
        request_headers: Iterable[str] = (),
        response_headers: Iterable[str] = (),
        on_request: Hook | None = None,
        on_response: Hook | None = None,
    ) -> "ClientOptions":
        """Check what was given; ``TypeError`` or ``ValueError`` names what is wrong."""
        return cls(
            exclude=Exclusions("exclude", exclude),
            request_headers=HeaderNames("request_headers", request_headers),
            response_headers=HeaderNames("response_headers", response_headers),
            on_request=_hook("on_request", on_request),
            on_response=_hook("on_response", on_response),
        )


def _hook(option: str, hook: Hook | None) -> Hook | None:
    if hook is not None and (not callable(hook) or iscoroutinefunction(hook)):
        raise TypeError(f"{option} must be callable, and no coroutine function; got {hook!r}")
    return hook
