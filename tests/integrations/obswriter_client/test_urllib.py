"""urllib.request: what is no HTTP, errors as responses, and headers of both kinds."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_client import observe_urllib

if TYPE_CHECKING:
    from pathlib import Path

    from obswriter.testing import Captured
    from obswriter_testsupport.http_server import Server


@pytest.fixture(autouse=True)
def observed(undone: Any) -> None:
    undone.callback(observe_urllib())


def test_what_is_no_http_is_left_alone(captured: Captured, tmp_path: Path) -> None:
    """open-telemetry/opentelemetry-python-contrib#820: reading a local file failed."""
    file = tmp_path / "stock.txt"
    file.write_text("7")
    for url in (file.as_uri(), "data:,7"):
        with urllib.request.urlopen(url) as response:
            assert response.read() == b"7"
    assert captured.events("span") == []


def test_an_error_is_raised_after_the_span_and_can_be_read(
    captured: Captured, server: Server
) -> None:
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(f"{server.url}/status/404")
    with failure.value as error:
        assert (error.code, error.read()) == (404, b"ok")
    assert "events" not in captured.one("span")


@pytest.mark.parametrize("add", ["add_header", "add_unredirected_header"])
def test_headers_of_the_user_are_replaced_whichever_way_they_were_set(
    captured: Captured, server: Server, add: str
) -> None:
    request = urllib.request.Request(f"{server.url}/redirect/1")
    for name, value in (("traceparent", "theirs"), ("tracestate", "t=1"), ("baggage", "own=1")):
        getattr(request, add)(name, value)
    urllib.request.urlopen(request).close()
    first, second = server.asked
    assert [first.parent, second.parent] == [span["id"] for span in captured.events("span")]
    assert (first.all("tracestate"), first.all("baggage")) == ([], ["own=1"])
    assert second.all("baggage") == (["own=1"] if add == "add_header" else [])
    assert request.get_header("Traceparent") == "theirs"
