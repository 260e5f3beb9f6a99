"""Every client: a request is one client span, whatever becomes of it."""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import obswriter
from obswriter.lenient import type_name
from obswriter_testsupport.processes import free_port

if TYPE_CHECKING:
    from obswriter.testing import Captured
    from obswriter_testsupport.http_clients import Httpx
    from obswriter_testsupport.http_server import Server


def test_a_request_is_a_client_span_in_the_stable_conventions(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    assert client.ask(f"{server.url}/items/7?color=red") == 200
    span = captured.one("span")
    assert (span["name"], span["spanKind"], span["status"]) == ("GET", "client", "unset")
    assert span["attributes"] == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.url}/items/7?color=red",
    }
    assert captured.one("trace")["id"] == span["traceId"]


def test_a_request_is_a_child_of_the_span_it_is_made_in(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    with obswriter.span("checkout") as checkout:
        client.ask(server.url)
        assert obswriter.current_span() is checkout
    assert captured.one("span", name="GET")["parentSpanId"] == checkout.id


def test_requests_of_several_threads_each_have_their_own_parent(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    start = threading.Barrier(4)

    def work(number: int) -> None:
        with obswriter.span(f"work {number}"):
            start.wait()
            for turn in range(3):
                client.ask(f"{server.url}/{number}/{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = captured.events("span")
    works = {span["id"]: span["name"] for span in spans if span["name"].startswith("work")}
    requests = [span for span in spans if span["name"] == "GET"]
    assert len(requests) == 12
    for span in requests:
        number = span["attributes"]["url.full"].split("/")[3]
        assert works[span["parentSpanId"]] == f"work {number}"


@pytest.mark.parametrize("status", [400, 404, 503])
def test_an_answer_of_400_or_more_is_an_error_named_by_its_status(
    captured: Captured, server: Server, client: Httpx, observe: Any, status: int
) -> None:
    """open-telemetry/opentelemetry-python-contrib#2850: spans that fail without ``error.type``."""
    observe()
    assert client.ask(f"{server.url}/status/{status}") == status
    span = captured.one("span")
    assert span["status"] == "error"
    assert span["attributes"]["error.type"] == str(status)
    assert span["attributes"]["http.response.status_code"] == status
    assert "events" not in span


def test_each_redirect_is_a_span_beside_the_first(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    """DataDog/dd-trace-py#19156: the requests that follow a redirect named the wrong parent."""
    observe()
    with obswriter.span("checkout") as checkout:
        assert client.ask(f"{server.url}/redirect/2") == 200
    spans = captured.events("span", name="GET")
    told = [(s["attributes"]["url.full"], s["attributes"]["http.response.status_code"])
            for s in spans]  # fmt: skip
    assert told == [
        (f"{server.url}/redirect/2", 302),
        (f"{server.url}/redirect/1", 302),
        (f"{server.url}/redirect/0", 200),
    ]
    assert {span["parentSpanId"] for span in spans} == {checkout.id}
    assert {span["status"] for span in spans} == {"unset"}
    assert [asked.parent for asked in server.asked] == [span["id"] for span in spans]


def test_an_unknown_method_makes_no_name(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    assert client.ask(server.url, "BREW") == 200
    attributes = captured.one("span", name="HTTP")["attributes"]
    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "BREW"


def fail(client: Httpx, url: str) -> Exception:
    with pytest.raises(Exception) as failure:  # noqa: PT011 (each library has its own)
        client.ask(url)
    return failure.value


def origin(error: Exception) -> tuple[str, int]:
    """Return the line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename, last.lineno or 0


@pytest.mark.parametrize("why", ["dropped", "refused"])
def test_a_failure_is_recorded_and_stays_the_clients_own(
    captured: Captured, server: Server, client: Httpx, observe: Any, why: str
) -> None:
    """instana/python-sensor#866: ``None`` instead of the exception.

    open-telemetry/opentelemetry-python#765: a span that was never closed.
    """
    url = f"{server.url}/drop" if why == "dropped" else f"http://127.0.0.1:{free_port()}/"
    unobserved = fail(client, url)
    observe()
    with obswriter.span("checkout") as checkout:
        error = fail(client, url)
        assert obswriter.current_span() is checkout
    assert (type(error), error.args[1:]) == (type(unobserved), unobserved.args[1:])
    assert type(error.__cause__) is type(unobserved.__cause__)
    assert origin(error) == origin(unobserved)
    span = captured.one("span", name="GET")
    assert span["status"] == "error"
    [event] = span["events"]
    assert event["attributes"]["exception.type"] == span["attributes"]["error.type"]
    assert span["attributes"]["error.type"] == type_name(error)
    assert "http.response.status_code" not in span["attributes"]


def test_an_invalid_url_fails_as_it_does_without_us(
    captured: Captured, client: Httpx, observe: Any
) -> None:
    """opbeat/opbeat_python#95: a URL without a scheme became a TypeError of the agent."""
    urls = ["nothing", "http://", "http://127.0.0.1:99999/", "ftp://127.0.0.1:1/"]
    before = [(type(error), str(error)) for error in (fail(client, url) for url in urls)]
    observe()
    assert [(type(error), str(error)) for error in (fail(client, url) for url in urls)] == before


def test_a_span_ends_with_the_headers_and_the_body_is_not_touched(
    captured: Captured, server: Server, undone: Any
) -> None:
    httpx = pytest.importorskip("httpx")
    requests = pytest.importorskip("requests")
    import urllib.request

    import obswriter_client

    for observe in ("observe_httpx", "observe_requests", "observe_urllib"):
        undone.callback(getattr(obswriter_client, observe)())
    url = f"{server.url}/stream"
    with (
        httpx.stream("GET", url, trust_env=False) as one,
        requests.get(url, stream=True) as two,
        urllib.request.urlopen(url) as three,
    ):
        assert len(captured.events("span")) == 3
        server.go_on.set()
        assert one.read() == two.content == three.read() == b"ok"


def test_what_is_sent_is_read_by_the_client_alone(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()

    def pieces() -> Any:
        yield from (b"one ", b"two")

    assert client.ask(server.url, "PUT", body=pieces()) == 200
    assert server.asked[-1].body == b"one two"
    assert captured.one("span")["name"] == "PUT"
