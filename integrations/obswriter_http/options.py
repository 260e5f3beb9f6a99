"""The options of the web adapters, checked where the user wrote them."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from obswriter import LiveSpan

from .forwarding import TrustedProxies

logger = logging.getLogger("obswriter")

Hook: TypeAlias = Callable[..., object]


class Paths:
    """The paths of an option: exact ones, beginnings that end in ``*``, and patterns."""

    __slots__ = ("_beginnings", "_exact", "_patterns")

    def __init__(self, option: str, value: object) -> None:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset):
            raise TypeError(
                f"{option} must be a sequence of paths, such as ['/health']; got {value!r}"
            )
        patterns = [item for item in value if isinstance(item, re.Pattern)]
        paths = [_path(option, item) for item in value if not isinstance(item, re.Pattern)]
        self._exact = frozenset(path for path in paths if not path.endswith("*"))
        self._beginnings = tuple(path[:-1] for path in paths if path.endswith("*"))
        self._patterns = [pattern.fullmatch for pattern in patterns]

    def match(self, path: str) -> bool:
        """Return whether *path* is one of them."""
        if path in self._exact or path.startswith(self._beginnings):
            return True
        return bool(self._patterns) and any(match(path) for match in self._patterns)


def _path(option: str, path: object) -> str:
    if not isinstance(path, str):
        raise TypeError(
            f"{option} must hold paths, such as '/health', or compiled patterns; got {path!r}"
        )
    if not path.startswith("/") or "*" in path[:-1]:
        raise ValueError(
            f"{option} must hold exact paths, such as '/health', or beginnings that end in *, "
            f"such as '/static/*', or compiled patterns; got {path!r}"
        )
    return path


class HeaderNames:
    """Headers to record: by name, or by a beginning that ends in ``*``; none by default."""

    __slots__ = ("_match",)

    def __init__(self, option: str, value: object) -> None:
        names = (
            value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else None
        )
        if names is None:
            raise TypeError(
                f"{option} must be a sequence of header names, such as ['x-request-id', 'x-shop-*']"
                f"; got {value!r}"
            )
        parts = [_header(option, name) for name in names]
        self._match = re.compile("|".join(parts)).fullmatch if parts else None

    def __bool__(self) -> bool:
        return self._match is not None

    def capture(self, kind: str, headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """Return the attributes of those *headers* that are wanted; *kind*: request, response."""
        found: dict[str, list[str]] = {}
        for name, value in headers:
            lower = name.lower()
            if self._match is not None and self._match(lower):
                found.setdefault(f"http.{kind}.header.{lower}", []).append(value)
        return found


def _header(option: str, name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[\w!#$%&'+.^`|~-]+\*?|\*", name):
        raise ValueError(
            f"{option} must hold names of headers, such as 'x-request-id', or their beginnings, "
            f"such as 'x-shop-*'; got {name!r}"
        )
    star = name.endswith("*")
    return re.escape(name.removesuffix("*").lower()) + (".*" if star else "")


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What each web adapter may be told.

    ``exclude``: paths not to observe: exact, beginnings with a ``*``, or compiled patterns.
    ``request_headers``, ``response_headers``: names of headers to record, or beginnings with a
    ``*``; values named like secrets are taken out. ``trusted_proxies``: addresses and networks
    whose ``Forwarded`` or ``X-Forwarded-*`` headers name the client, scheme and host.
    ``on_request``, ``on_response``: called with the server span, and what the adapter says.
    ``metrics``: record ``http.server.request.duration`` and ``http.server.active_requests``.
    ``traceresponse``: answer with the trace's ids in a ``traceresponse`` header.
    ``user_id``: record ``user.id`` where the application has asked who the user is.
    """

    exclude: Paths
    request_headers: HeaderNames
    response_headers: HeaderNames
    trusted_proxies: TrustedProxies
    on_request: Hook | None
    on_response: Hook | None
    metrics: bool
    traceresponse: bool
    user_id: bool

    @classmethod
    def check(cls, naming: Callable[[str], str] = str, **given: Any) -> "HttpOptions":
        """Check what was given; *naming* says how the user knows an option.

        ``TypeError`` or ``ValueError`` names what is wrong.
        """
        for name in ("on_request", "on_response"):
            if given.get(name) is not None and not callable(given[name]):
                raise TypeError(f"{naming(name)} must be callable; got {given[name]!r}")
        for name in ("metrics", "traceresponse", "user_id"):
            check_switch(naming(name), given.get(name, False))

        def headers(name: str) -> HeaderNames:
            return HeaderNames(naming(name), given.get(name, ()))

        proxies = naming("trusted_proxies"), given.get("trusted_proxies", ())
        return cls(
            exclude=Paths(naming("exclude"), given.get("exclude", ())),
            request_headers=headers("request_headers"),
            response_headers=headers("response_headers"),
            trusted_proxies=TrustedProxies(*proxies),
            on_request=given.get("on_request"),
            on_response=given.get("on_response"),
            metrics=given.get("metrics", False),
            traceresponse=given.get("traceresponse", False),
            user_id=given.get("user_id", False),
        )


def check_switch(name: str, value: object) -> bool:
    """Return *value*; ``TypeError``, which names the option, unless it is a boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return value


def call_hook(hook: Hook | None, span: LiveSpan, *arguments: object) -> None:
    """Call the user's hook; what it raises is said, and never reaches the request."""
    if hook is None:
        return
    try:
        hook(span, *arguments)
    except Exception:
        with suppress(Exception):
            logger.warning("obswriter: the hook %r failed", hook, exc_info=True)
