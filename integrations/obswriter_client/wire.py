"""How a library speaks of requests and responses; each has a subclass with what differs."""

from collections.abc import Iterable
from typing import Any, ClassVar

Items = Iterable[tuple[Any, Any]]


class Wire:
    """Reads requests and responses as most libraries have them. Bodies are nobody's business."""

    parameter: ClassVar[str] = "request"
    """The name of the request among the arguments of the method that sends it."""
    position: ClassVar[int] = 0
    """And its place among them, ``self`` not counted."""
    layers: ClassVar[tuple[str, ...]] = ("headers",)
    """The attributes of a request that hold its headers; what the last one says counts."""

    def spell(self, name: str) -> str:
        """Return the name of a header as the library keeps it."""
        return name

    def method(self, request: Any) -> str | None:
        """Return the method."""
        found: str | None = request.method
        return found

    def url(self, request: Any) -> str:
        """Return the whole URL."""
        return str(request.url)

    def sent(self, request: Any) -> Items:
        """Return the headers of a request."""
        items: Items = request.headers.items()
        return items

    def status(self, response: Any) -> int | None:
        """Return the status code."""
        found: int | None = response.status_code
        return found

    def version(self, response: Any) -> str | None:
        """Return the version of HTTP, ``1.1`` or ``2`` say, where the library tells."""
        raise NotImplementedError

    def received(self, response: Any) -> Items:
        """Return the headers of a response."""
        items: Items = response.headers.items()
        return items


VERSIONS = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
"""As ``http.client`` and urllib3 number them."""
