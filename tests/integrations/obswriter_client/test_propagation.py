"""Every client: what goes along names the client span, once, and the request stays the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter import SpanContext, process
from obswriter.propagation import get_baggage, set_baggage
from obswriter.storage import storing
from obswriter_testsupport.stores import FaultyStorage

if TYPE_CHECKING:
    from pathlib import Path

    from obswriter.testing import Captured
    from obswriter_testsupport.http_clients import Httpx
    from obswriter_testsupport.http_server import Server

CALLER = SpanContext("a" * 32, "b" * 16, 1, "shop=1")
OTHER = f"00-{'c' * 32}-{'d' * 16}-01"


def test_the_client_span_goes_along_with_tracestate_and_baggage(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    with obswriter.span("checkout", parent=CALLER):
        set_baggage("tenant", "acme")
        client.ask(server.url)
    [asked] = server.asked
    span = captured.one("span", name="GET")
    assert asked.all("traceparent") == [f"00-{'a' * 32}-{span['id']}-01"]
    assert asked.all("tracestate") == ["shop=1"]
    assert asked.all("baggage") == ["tenant=acme"]


def test_a_traceparent_of_the_users_own_gives_way_and_its_tracestate_with_it(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    """Where a gateway passes on the headers it got, the callee belongs below the gateway."""
    observe()
    client.ask(server.url, headers={"traceparent": OTHER, "tracestate": "theirs=1"})
    [asked] = server.asked
    assert asked.parent == captured.one("span")["id"]
    assert asked.all("tracestate") == []


def test_baggage_of_the_users_own_stays(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    """getsentry/sentry-python#2190: a custom baggage header was overwritten."""
    observe()
    with obswriter.span("checkout"):
        set_baggage("tenant", "acme")
        set_baggage("tier", "gold")
        client.ask(server.url, headers={"Baggage": "tenant=own;p=1, color = red"})
        assert get_baggage() == {"tenant": "acme", "tier": "gold"}
    assert server.asked[0].all("baggage") == ["tenant=own;p=1, color = red,tier=gold"]


def disabled() -> Any:
    return obswriter.testing.capture(disabled=True)


@pytest.mark.parametrize("when", [disabled, storing])
def test_nothing_is_done_when_disabled_or_while_storing(
    captured: Captured, server: Server, client: Httpx, observe: Any, when: Any
) -> None:
    """open-telemetry/opentelemetry-js#2067: headers of a span that was suppressed."""
    observe()
    with obswriter.span("checkout"), when():
        assert client.ask(server.url, headers={"traceparent": OTHER}) == 200
    assert server.asked[0].all("traceparent") == [OTHER]
    assert [span["name"] for span in captured.events("span")] == ["checkout"]


class AskingStore(FaultyStorage):
    """A store behind HTTP."""

    def __init__(self, root: Path, ask: Any) -> None:
        super().__init__(root)
        self.ask = ask

    def write(self, path: str, data: bytes) -> None:
        self.ask()
        super().write(path, data)


def test_what_a_store_asks_for_is_none_of_the_applications_requests(
    tmp_path: Path, server: Server, client: Httpx, observe: Any
) -> None:
    """open-telemetry/opentelemetry-js#1059: exporting spans made more of them, for ever."""
    observe()
    store = AskingStore(tmp_path / "store", lambda: client.ask(server.url))
    writer = obswriter.ObservabilityWriter(
        file_storage=store, project_id="test", spool_dir=tmp_path / "spool", flush_interval_ms=0
    )
    before = process.exchange(writer)
    try:
        client.ask(server.url)
        for _ in range(2):
            obswriter.flush()
        assert writer.get_stats().recorded["span"] == 1
    finally:
        process.exchange(before)
        writer.shutdown()
    mine, *stored = server.asked
    assert len(mine.all("traceparent")) == 1
    assert [asked.all("traceparent") for asked in stored] == [[], []]


def test_a_request_sent_again_carries_only_the_span_of_the_moment(
    captured: Captured, server: Server, undone: Any
) -> None:
    """getsentry/sentry-python#3709: baggage grew with each turn of a polling loop."""
    httpx, requests = pytest.importorskip("httpx"), pytest.importorskip("requests")
    import urllib.request

    import obswriter_client

    for observe in ("observe_httpx", "observe_requests", "observe_urllib"):
        undone.callback(getattr(obswriter_client, observe)())
    own = {"baggage": "own=1"}
    with httpx.Client(trust_env=False) as client, requests.Session() as session:
        one = client.build_request("GET", server.url, headers=own)
        two = session.prepare_request(requests.Request("GET", server.url, headers=own))
        three = urllib.request.Request(server.url, headers=own)
        for tenant in ("acme", "zenith"):
            with obswriter.span("poll", parent=CALLER if tenant == "acme" else None):
                set_baggage("tenant", tenant)
                client.send(one)
                session.send(two).close()
                urllib.request.urlopen(three).close()
        kept = [one.headers, two.headers, dict(three.header_items())]
    assert [asked.all("baggage") for asked in server.asked] == (
        [["own=1,tenant=acme"]] * 3 + [["own=1,tenant=zenith"]] * 3
    )
    assert [asked.all("tracestate") for asked in server.asked] == [["shop=1"]] * 3 + [[]] * 3
    spans = captured.events("span", name="GET")
    assert [asked.parent for asked in server.asked] == [span["id"] for span in spans]
    for headers in kept:
        assert {name.lower() for name in headers}.isdisjoint({"traceparent", "tracestate"})
        assert {value for name, value in headers.items() if name.lower() == "baggage"} == {"own=1"}


def test_one_request_sent_by_several_at_once_gets_its_own_headers_back() -> None:
    """Two that are under way take turns in every order."""
    import urllib.request

    from obswriter_client.carrying import Carried
    from obswriter_client.of_urllib import _WIRE

    for first, second in ((0, 1), (1, 0)):
        request = urllib.request.Request("http://127.0.0.1/", headers={"tracestate": "own=1"})
        own = request.headers
        with obswriter.testing.capture(), obswriter.span("poll"):
            both = [Carried(_WIRE, request), Carried(_WIRE, request)]
            assert set(request.unredirected_hdrs) == {"Traceparent"}
            both[first].take_back()
            both[second].take_back()
        assert request.headers is own
        assert request.header_items() == [("Tracestate", "own=1")]


def test_connections_are_kept_alive_and_each_request_names_its_own_span(
    captured: Captured, server: Server, undone: Any
) -> None:
    httpx, requests = pytest.importorskip("httpx"), pytest.importorskip("requests")
    import obswriter_client

    undone.callback(obswriter_client.observe_httpx())
    undone.callback(obswriter_client.observe_requests())
    with httpx.Client(trust_env=False) as client, requests.Session() as session:
        for ask in (client.get, client.get, session.get, session.get):
            ask(server.url)
    assert [asked.parent for asked in server.asked] == [s["id"] for s in captured.events("span")]
    one, other, *rest = [asked.connection for asked in server.asked]
    assert one == other
    assert rest[0] == rest[1] != one
