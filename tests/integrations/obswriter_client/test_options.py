"""Every client: what can be asked for, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import obswriter
import obswriter_client
from obswriter_client import of_httpx, of_requests
from obswriter_testsupport.processes import free_port

if TYPE_CHECKING:
    from obswriter.testing import Captured
    from obswriter_testsupport.http_clients import Httpx
    from obswriter_testsupport.http_server import Server


@pytest.mark.parametrize("where", ["127.0.0.1", "{url}/items/7", "HTTP{rest}/items/*"])
def test_what_is_excluded_is_left_alone(
    captured: Captured, server: Server, client: Httpx, observe: Any, where: str
) -> None:
    rest = server.url.removeprefix("http")
    observe(exclude=["example.com", where.format(url=server.url, rest=rest)])
    with obswriter.span("checkout"):
        client.ask(f"{server.url}/items/7?color=red")
        client.ask(f"{server.url.replace('127.0.0.1', 'localhost')}/elsewhere")
    first, second = server.asked
    assert first.all("traceparent") == []
    assert second.parent == captured.one("span", name="GET")["id"]


def test_headers_are_recorded_on_request_without_secrets(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe(request_headers=["x-*", "authorization"], response_headers=["X-Shop"])
    client.ask(server.url, headers={"X-Request-Id": "r1", "Authorization": "Bearer s3cret"})
    attributes = captured.one("span")["attributes"]
    found = {name: value for name, value in attributes.items() if ".header." in name}
    assert found == {
        "http.request.header.x-request-id": ["r1"],
        "http.request.header.authorization": "REDACTED",
        "http.response.header.x-shop": ["A-17"],
    }


def test_credentials_and_tokens_of_a_url_are_in_no_file(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    observe()
    place = server.url.removeprefix("http://")
    user = "" if client.library == "urllib.request" else "ann:pa55word@"  # which it can't resolve
    client.ask(f"http://{user}{place}/?token=s3cret&color=red")
    attributes = captured.one("span")["attributes"]
    assert attributes["server.address"] == "127.0.0.1"
    shown = "REDACTED@" if user else ""
    assert attributes["url.full"] == f"http://{shown}{place}/?token=REDACTED&color=red"
    files = b"".join(path.read_bytes() for path in captured.root.rglob("*.jsonl"))
    assert b"span" in files
    assert not any(secret in files for secret in (b"ann", b"pa55word", b"s3cret"))


def test_an_exception_that_quotes_the_url_is_kept_without_its_secrets(
    captured: Captured, client: Httpx, observe: Any
) -> None:
    observe()
    with pytest.raises(Exception):  # noqa: B017, PT011 (each library has its own)
        client.ask(f"http://127.0.0.1:{free_port()}/?token=s3cret&color=red")
    [event] = captured.one("span")["events"]
    assert "s3cret" not in str(event)
    if client.library == "requests":
        assert "token=REDACTED&color=red" in event["attributes"]["exception.message"]


def test_the_user_of_a_url_is_taken_out_even_if_nothing_else_is(
    server: Server, client: Httpx, observe: Any
) -> None:
    if client.library == "urllib.request":
        pytest.skip("it takes the user for a part of the host")
    observe()
    with obswriter.testing.capture(redact=False) as captured:
        client.ask(server.url.replace("//", "//ann:pa55word@"))
        assert "ann" not in captured.one("span")["attributes"]["url.full"]


def test_hooks_see_the_librarys_own_objects_and_have_the_last_word(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    seen: list[Any] = []

    def on_request(span: obswriter.LiveSpan, request: Any) -> None:
        seen.append(request)
        span.set_name("ask the shop")

    def on_response(span: obswriter.LiveSpan, response: Any) -> None:
        seen.append(response)
        span.set_status("unset")

    observe(on_request=on_request, on_response=on_response)
    client.ask(f"{server.url}/status/404")
    assert captured.one("span")["name"] == "ask the shop"
    assert captured.one("span")["status"] == "unset"
    assert [type(each).__name__ for each in seen] in (
        ["Request", "Response"], ["PreparedRequest", "Response"], ["Request", "HTTPResponse"],
    )  # fmt: skip


def test_a_hook_that_fails_does_not_reach_the_request(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    """newrelic/newrelic-python-agent#116: after a hook that raised, headers went unread."""

    def fail(span: obswriter.LiveSpan, _: Any) -> None:
        raise RuntimeError("a hook")

    observe(on_request=fail, on_response=fail)
    assert client.ask(server.url) == 200
    span = captured.one("span")
    assert server.asked[0].parent == span["id"]
    assert span["attributes"]["http.response.status_code"] == 200


def test_observing_again_records_once_with_the_last_options(
    captured: Captured, server: Server, client: Httpx, observe: Any
) -> None:
    """open-telemetry/opentelemetry-python-contrib#554: one span more with each call."""
    first = observe()
    for _ in range(3):
        last = observe(response_headers=["x-shop"])
    client.ask(server.url)
    assert captured.one("span")["attributes"]["http.response.header.x-shop"] == ["A-17"]
    first()
    client.ask(server.url)
    last()
    client.ask(server.url)
    last()
    assert len(captured.events("span")) == 2
    assert [len(asked.all("traceparent")) for asked in server.asked] == [1, 1, 0]


def test_the_undo_leaves_the_library_as_it_was(client: Httpx) -> None:
    def methods() -> list[Any]:
        import urllib.request

        found: list[Any] = [urllib.request.AbstractHTTPHandler.do_open]
        if client.library.startswith("httpx"):
            module = pytest.importorskip(client.library)
            found += [module.HTTPTransport.handle_request]
            found += [module.AsyncHTTPTransport.handle_async_request]
        if client.library == "requests":
            found += [pytest.importorskip("requests").adapters.HTTPAdapter.send]
        return found

    before = methods()
    undo = client.observe()
    assert methods() != before
    undo()
    assert methods() == before


def test_what_others_put_around_it_meanwhile_stays(
    captured: Captured, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    handler = urllib.request.AbstractHTTPHandler
    calls, before = [], handler.do_open
    undo = obswriter_client.observe_urllib()
    ours = handler.do_open

    def theirs(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return ours(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(handler, "do_open", theirs)
        again = obswriter_client.observe_urllib()
        urllib.request.urlopen(server.url).close()
        assert captured.one("span")
        again()
        undo()
        urllib.request.urlopen(server.url).close()
        assert captured.one("span")
        assert len(calls) == 2
    undo()
    assert handler.do_open is before


def coroutine() -> Any:
    async def hook(*_: Any) -> None: ...

    return hook


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": "example.com"}, "exclude must be a sequence of hosts and URLs"),
        ({"exclude": ["/health"]}, "exclude must hold hosts, .* got '/health'"),
        ({"exclude": ["https://ann:pw@example.com/"]}, "URLs without a user"),
        ({"exclude": ["https://example.com/?a=1"]}, "without a user and a query"),
        ({"exclude": ["https://example.com*"]}, "exclude must hold"),
        ({"exclude": ["http://h:99999/"]}, "exclude must hold"),
        ({"exclude": [["a"]]}, "exclude must hold"),
        ({"request_headers": "x-id"}, "request_headers must be a sequence"),
        ({"response_headers": ["x id"]}, "response_headers must hold names"),
        ({"on_request": 7}, "on_request must be callable"),
        ({"on_response": coroutine()}, "on_response must be callable, and no coroutine"),
        ({"exlude": ["example.com"]}, "unexpected keyword argument 'exlude'"),
    ],
)
def test_wrong_options_are_refused_and_change_nothing(
    options: dict[str, Any], message: str
) -> None:
    import urllib.request

    before = urllib.request.AbstractHTTPHandler.do_open
    with pytest.raises((TypeError, ValueError), match=message):
        obswriter_client.observe_urllib(**options)
    assert urllib.request.AbstractHTTPHandler.do_open is before


@pytest.mark.parametrize("module", [of_httpx, of_requests])
def test_a_library_that_is_missing_is_named_with_the_remedy(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    observe = getattr(obswriter_client, module.__name__.rpartition(".")[2].replace("of", "observe"))
    with pytest.raises(ModuleNotFoundError, match=r"pip install (httpx|requests)"):
        observe()
