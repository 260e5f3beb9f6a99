"""httpx and httpx2: one client with whatever transports it has, and what only they do."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter_client import observe_httpx

if TYPE_CHECKING:
    from obswriter.testing import Captured
    from obswriter_testsupport.http_server import Server


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param)
    return import_module(request.param)


async def app(scope: Any, receive: Any, send: Any) -> None:
    parents = [value for name, value in scope["headers"] if name == b"traceparent"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b",".join(parents)})


def test_one_client_is_observed_with_any_transport_and_no_other(
    captured: Captured, httpx: Any, undone: Any
) -> None:
    def handle(request: Any) -> Any:
        return httpx.Response(200, text=request.headers.get("traceparent", ""))

    with (
        httpx.Client(transport=httpx.MockTransport(handle)) as client,
        httpx.Client(transport=httpx.MockTransport(handle)) as other,
    ):
        undo = observe_httpx(client)
        undone.callback(observe_httpx(client))
        parent = client.get("http://shop.test/").text
        assert other.get("http://shop.test/").text == ""
        undo()
        client.get("http://shop.test/")
        undone.close()
        assert client.get("http://shop.test/").text == ""
    first, _ = captured.events("span")
    assert first["id"] == parent.split("-")[2]
    assert "network.protocol.version" not in first["attributes"]


def test_an_application_called_in_process_gets_the_parent(captured: Captured, httpx: Any) -> None:
    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            observe_httpx(client)
            text: str = (await client.get("http://shop.test/")).text
            return text

    parent = asyncio.run(ask()).split("-")[2]
    assert captured.one("span")["id"] == parent


def test_requests_through_mounts_and_proxies_are_observed(
    captured: Captured, server: Server, httpx: Any, undone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open-telemetry/opentelemetry-python-contrib#2341: none with a proxy.

    open-telemetry/opentelemetry-python-contrib#3020: a failure with NO_PROXY, whose mounts are
    ``None``.
    """
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    undone.callback(observe_httpx())
    with httpx.Client() as all_of_them, httpx.Client() as one:
        undone.callback(observe_httpx(one))
        for client in (all_of_them, one):
            client.get("http://shop.test/")
            client.get(server.url)
    spans = captured.events("span")
    hosts = [span["attributes"]["server.address"] for span in spans]
    assert hosts == ["shop.test", "127.0.0.1"] * 2
    assert [asked.parent for asked in server.asked] == [span["id"] for span in spans]
    assert [asked.path for asked in server.asked] == ["http://shop.test/", "/"] * 2


def test_a_request_that_was_cancelled_is_no_error(
    captured: Captured, server: Server, httpx: Any, undone: Any
) -> None:
    undone.callback(observe_httpx())

    async def ask() -> None:
        begun = asyncio.Event()

        async def pieces() -> Any:
            begun.set()
            yield b"x"
            await asyncio.Event().wait()

        async with httpx.AsyncClient(trust_env=False) as client:
            task = asyncio.create_task(client.put(server.url, content=pieces()))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())
    span = captured.one("span")
    assert (span["status"], "events" in span) == ("unset", False)
    assert span["attributes"]["obswriter.ended_by"] == "asyncio.exceptions.CancelledError"


def test_requests_at_once_in_one_loop_are_beside_each_other(
    captured: Captured, server: Server, httpx: Any, undone: Any
) -> None:
    undone.callback(observe_httpx())

    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            with obswriter.span("checkout") as checkout:
                request = client.build_request("GET", server.url)
                await asyncio.gather(*(client.send(request) for _ in range(5)))
        assert set(request.headers).isdisjoint({"traceparent"})
        return checkout.id

    parent = asyncio.run(ask())
    spans = captured.events("span", name="GET")
    assert [span["parentSpanId"] for span in spans] == [parent] * 5
    assert len(server.asked) == 5
    assert {asked.parent for asked in server.asked} == {span["id"] for span in spans}


def test_each_step_of_an_authentication_is_a_request_of_its_own(
    captured: Captured, server: Server, httpx: Any, undone: Any
) -> None:
    class Twice(httpx.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            yield request
            yield request

    undone.callback(observe_httpx())
    httpx.get(server.url, auth=Twice(), trust_env=False)
    assert [asked.parent for asked in server.asked] == [s["id"] for s in captured.events("span")]
    assert len(server.asked) == 2


def test_attempts_of_a_transport_around_the_librarys_own_are_requests_of_their_own(
    captured: Captured, server: Server, httpx: Any, undone: Any
) -> None:
    class Retrying(httpx.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            super().handle_request(request).close()
            return super().handle_request(request)

    undone.callback(observe_httpx())
    with httpx.Client(transport=Retrying()) as client:
        client.get(server.url)
        assert len(captured.events("span")) == 2
        undone.callback(observe_httpx(client))
        client.get(server.url)
        assert len(captured.events("span")) == 3
    assert all(len(asked.all("traceparent")) == 1 for asked in server.asked)


@pytest.mark.parametrize("client", [7, "httpx", object()])
def test_what_is_no_client_is_refused(httpx: Any, client: object) -> None:
    with pytest.raises(TypeError, match="client must be a Client or an AsyncClient of httpx"):
        observe_httpx(client)
