"""The middleware's options: what is excluded, what is refused, and what never reaches a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter.testing import capture
from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

if TYPE_CHECKING:
    from obswriter.testing import Captured


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


@pytest.mark.parametrize(
    ("path", "is_observed"),
    [
        ("/health", False),
        ("/health/deep", True),
        ("/healthy", True),
        ("/static/", False),
        ("/static/site.css", False),
        ("/static", True),
    ],
)
async def test_excluded_paths_are_exact_or_beginnings(
    captured: Captured, path: str, is_observed: bool
) -> None:
    app = ObservabilityMiddleware(plain, exclude=["/health", "/static/*"])
    assert len(await call(app, path)) == 2
    assert bool(captured.events("span")) is is_observed


@pytest.mark.parametrize(
    ("options", "error", "parts"),
    [
        ({"exclude": "/health"}, TypeError, ("exclude", "'/health'", "['/health']")),
        ({"exclude": None}, TypeError, ("exclude", "None")),
        ({"exclude": [7]}, TypeError, ("exclude", "7")),
        ({"exclude": ["health"]}, ValueError, ("exclude", "'health'")),
        ({"exclude": [""]}, ValueError, ("exclude", "''")),
        ({"exclude": ["/a*/b"]}, ValueError, ("exclude", "'/a*/b'", "end in *")),
        ({"flush_timeout": "5"}, TypeError, ("flush_timeout", "'5'", "5.0")),
        ({"flush_timeout": None}, TypeError, ("flush_timeout", "None")),
        ({"flush_timeout": True}, TypeError, ("flush_timeout", "True")),
        ({"flush_timeout": 0}, ValueError, ("flush_timeout", "0")),
        ({"flush_timeout": -1.5}, ValueError, ("flush_timeout", "-1.5")),
        ({"flush_timeout": float("nan")}, ValueError, ("flush_timeout", "nan")),
        ({"flush_timeout": float("inf")}, ValueError, ("flush_timeout", "inf")),
        ({"excluded": []}, TypeError, ("excluded",)),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_and_value(
    options: dict[str, Any], error: type[Exception], parts: tuple[str, ...]
) -> None:
    with pytest.raises(error) as refused:
        ObservabilityMiddleware(plain, **options)
    assert all(part in str(refused.value) for part in parts), refused.value


async def test_a_disabled_writer_leaves_scope_and_send_alone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((type(scope), getattr(send, "__self__", None)))
        await answer(send)

    with capture(disabled=True) as captured:
        await call(ObservabilityMiddleware(app))
        assert captured.events() == []
    assert seen == [(dict, None)]


def broken(*args: object, **options: object) -> Any:
    raise RuntimeError("a bug of ours")


async def test_an_error_before_the_request_leaves_it_unobserved_and_is_counted(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obswriter_asgi.observed.describe_request", broken)
    assert [m["type"] for m in await call(ObservabilityMiddleware(plain))] == [
        "http.response.start",
        "http.response.body",
    ]
    assert obswriter.context.current() is None
    dropped = captured.writer.get_stats().dropped
    assert (dropped["span"], dropped["trace"]) == ({"invalid": 1}, {"invalid": 1})


@pytest.mark.parametrize(
    "name",
    [
        "obswriter_asgi.request.name_endpoint",
        "obswriter_asgi.observed.Trail",
        "obswriter_asgi.observed.Trail.follow",
        "obswriter_asgi.observed.Trail.find_template",
        "obswriter_asgi.request.type_name",
        "obswriter_asgi.request.ObservedRequest._look_at_start",
        "obswriter_asgi.request.leave",
    ],
)
@pytest.mark.parametrize("path", ["/", "/fails"])
async def test_an_error_within_the_request_costs_at_most_a_name(
    captured: Captured, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    routing = pytest.importorskip("starlette.routing")

    async def endpoint(request: Any) -> Any:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse("ok")

    async def fails(request: Any) -> None:
        raise KeyError("the application's")

    monkeypatch.setattr(name, broken)
    routes = [routing.Route("/", endpoint), routing.Route("/fails", fails)]
    app = ObservabilityMiddleware(routing.Router(routes))
    if path == "/":
        assert len(await call(app, path)) == 2
    else:
        with pytest.raises(KeyError, match="the application's"):
            await call(app, path)
    assert captured.one("span", spanKind="server")["name"].startswith("GET")
    assert obswriter.context.current() is None


async def test_a_malformed_message_is_the_servers_to_refuse(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": "many"})
        await send({})

    assert await call(ObservabilityMiddleware(app)) == [
        {"type": "http.response.start", "status": "many"},
        {},
    ]
    assert captured.one("span")["status"] == "unset"
