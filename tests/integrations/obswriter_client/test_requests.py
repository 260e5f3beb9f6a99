"""requests: sessions with adapters of their own, and requests that were prepared before."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_client import observe_requests

if TYPE_CHECKING:
    from obswriter.testing import Captured
    from obswriter_testsupport.http_server import Server

requests = pytest.importorskip("requests")


@pytest.fixture
def session() -> Any:
    with requests.Session() as found:
        found.trust_env = False
        yield found


def test_a_session_with_an_adapter_of_its_own_is_observed(
    captured: Captured, server: Server, session: Any, undone: Any
) -> None:
    """open-telemetry/opentelemetry-python-contrib#1597: no spans of a session with an adapter."""

    class Adapter(requests.adapters.HTTPAdapter):  # type: ignore[misc]
        def send(self, request: Any, **options: Any) -> Any:
            request.headers["x-own"] = "1"
            return super().send(request, **options)

    undone.callback(observe_requests())
    session.mount("http://", Adapter(max_retries=5))
    session.get(server.url)
    assert server.asked[0].parent == captured.one("span")["id"]
    assert server.asked[0].all("x-own") == ["1"]


def test_a_request_prepared_before_is_observed(
    captured: Captured, server: Server, session: Any, undone: Any
) -> None:
    """census-instrumentation/opencensus-python#990: none for ``Session.send``."""
    undone.callback(observe_requests())
    prepared = requests.Request("GET", server.url).prepare()
    response = session.send(prepared)
    assert response.request is prepared
    assert server.asked[0].parent == captured.one("span")["id"]


def test_one_session_is_observed_and_no_other(
    captured: Captured, server: Server, session: Any, undone: Any
) -> None:
    undone.callback(observe_requests())
    undo = observe_requests(session)
    undone.callback(undo)
    session.get(server.url)
    assert len(captured.events("span")) == 1
    undone.callback(observe_requests(session))
    undone.close()
    session.get(server.url)
    assert len(captured.events("span")) == 1
    observe_requests(session)
    requests.get(server.url).close()
    assert len(captured.events("span")) == 1


def test_an_observed_session_can_be_copied_and_pickled(session: Any) -> None:
    observe_requests(session)
    for other in (copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        assert all("send" not in vars(adapter) for adapter in other.adapters.values())


def test_a_challenge_is_answered_by_a_request_of_its_own(
    captured: Captured, server: Server, session: Any, undone: Any
) -> None:
    class Again(requests.auth.AuthBase):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            request.register_hook("response", self.again)
            return request

        def again(self, response: Any, **options: Any) -> Any:
            response.close()
            return response.connection.send(response.request.copy(), **options)

    undone.callback(observe_requests())
    session.get(server.url, auth=Again())
    assert [asked.parent for asked in server.asked] == [s["id"] for s in captured.events("span")]
    assert len(server.asked) == 2


def test_what_is_no_session_is_refused() -> None:
    with pytest.raises(TypeError, match="session must be a Session of requests; got 'shop'"):
        observe_requests("shop")
