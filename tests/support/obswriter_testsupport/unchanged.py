"""What applications answer with the middleware and without it, which has to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obswriter_asgi import ObservabilityMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obswriter.testing import Captured

EVERYTHING: dict[str, Any] = {
    "request_headers": ["*"],
    "response_headers": ["*"],
    "trusted_proxies": ["127.0.0.1"],
    "on_request": lambda span, scope: span.set_attribute("seen", value=True),
    "metrics": True,
    "websocket_messages": True,
}

Asked = tuple[str, str, dict[str, Any]]


def get(path: str, **options: Any) -> Asked:
    return "GET", path, options


def answers(app: Any, requests: Iterable[Asked]) -> list[Any]:
    """Return what one client gets, which keeps its cookies."""
    found = []
    from starlette.testclient import TestClient

    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        for method, path, options in requests:
            response = client.request(method, path, **options)
            found.append(
                (path, response.status_code, response.headers.multi_items(), response.content)
            )
    return found


def same(make: Any, requests: list[Asked], captured: Captured) -> list[int]:
    """Check that both ways of adding the middleware change nothing; return the statuses."""
    plain = answers(make(), requests)
    assert answers(ObservabilityMiddleware(make(), **EVERYTHING), requests) == plain
    assert len(captured.events("span", spanKind="server")) == len(requests)
    inside = make()
    inside.add_middleware(ObservabilityMiddleware, **EVERYTHING)
    assert answers(inside, requests) == plain
    return [status for _, status, _, _ in plain]
