"""Where a request goes, in OpenTelemetry's stable conventions for HTTP clients.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from typing import Any
from urllib.parse import urlsplit

from obswriter.redaction import REDACTED, redact_url
from obswriter_http import PORTS


class Target:
    """A URL taken apart; ``ValueError`` for one that cannot be."""

    __slots__ = ("_parts", "host", "port")

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.host = self._parts.hostname
        self.port = self._parts.port or PORTS.get(self._parts.scheme)

    def describe(self) -> dict[str, Any]:
        """Return the attributes of a span. The URL has neither the user nor the password."""
        parts = self._parts
        _, at, authority = parts.netloc.rpartition("@")
        safe = parts._replace(netloc=f"{REDACTED}@{authority}") if at else parts
        found: dict[str, Any] = {"server.address": self.host, "server.port": self.port}
        found = {name: value for name, value in found.items() if value is not None}
        return {**found, "url.full": safe.geturl()}

    def clean(self, text: str) -> str:
        """Take the secrets of the URL out of what is said about it: of an exception, say."""
        user, at, _ = self._parts.netloc.rpartition("@")
        safe = text.replace(f"{user}@", f"{REDACTED}@") if at else text
        query = self._parts.query
        return safe.replace(query, redact_url(query)) if query else safe

    def resource(self) -> str:
        """Return scheme, host, port and path in one form, whichever way they were written."""
        scheme, host = self._parts.scheme, self.host or ""
        authority = f"[{host}]" if ":" in host else host
        if self.port != PORTS.get(scheme):
            authority += f":{self.port}"
        return f"{scheme}://{authority}{self._parts.path or '/'}"
