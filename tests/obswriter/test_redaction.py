"""Nothing that is named like a secret reaches a file, wherever it hides in an event."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import obswriter
from obswriter import Log, Span, SpanEvent, Trace
from obswriter.redaction import MOST_NAMES, REDACTED, Redactor, redact_url
from obswriter.serializer import encode
from obswriter.testing import capture

if TYPE_CHECKING:
    from obswriter.testing import Captured

SECRET = "hunter2"

SECRET_NAMES = [
    "authorization",
    "Authorization",
    "http.request.header.authorization",
    "Proxy-Authorization",
    "cookie",
    "Set-Cookie",
    "http.request.header.cookie",
    "password",
    "db_password",
    "userPasswd",
    "pwd",
    "passphrase",
    "token",
    "access_token",
    "refreshToken",
    "x-csrf-token",
    "csrfmiddlewaretoken",
    "secret",
    "client_secret",
    "AWS_SECRET_ACCESS_KEY",
    "api_key",
    "x-api-key",
    "apiKey",
    "private.key",
    "AWSAccessKeyId",
    "X-Amz-Signature",
    "sig",
    "credentials",
    "jwt",
    "x-auth",
    "token_2",
    "api_key1",
    "api_keys",
    "access_tokens",
    "ssh_key",
    "DB_PASS",
    "pass",
    "passcode",
    "bearer",
    "PHPSESSID",
]
HARMLESS_NAMES = [
    "http.route",
    "gen_ai.usage.input_tokens",
    "token_count",
    "key",
    "cache.key",
    "keyboard",
    "author",
    "secretary",
    "session.id",
    "design",
    "passenger",
    "bypass",
    "tests.pass",
    "valid_tokens",
    "user.id",
]


def wire(**fields: Any) -> dict[str, Any]:
    return {"type": "span", "id": "1", **fields}


def line(event: dict[str, Any], redactor: Redactor | None = None) -> bytes:
    return encode(event, redactor=redactor or Redactor())[0]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    data = line(wire(attributes={name: SECRET}))
    assert orjson.loads(data)["attributes"] == {name: REDACTED}


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_what_only_looks_like_one_is_kept(name: str) -> None:
    data = line(wire(attributes={name: "value"}))
    assert orjson.loads(data)["attributes"] == {name: "value"}


@dataclass
class Login:
    user: str
    password: str


class Named(NamedTuple):
    user: str
    password: str


class Model:
    """As those of pydantic are."""

    def model_dump(self) -> dict[str, str]:
        return {"user": "ada", "password": SECRET}


class Drawn:
    """As those of attrs are."""

    __attrs_attrs__ = fields(Login)

    def __init__(self) -> None:
        self.user, self.password = "ada", SECRET


@dataclass
class Connection:
    host: str
    handle: str = field(repr=False)


@pytest.mark.parametrize(
    "hidden",
    [
        {"login": Named("ada", SECRET), "password": 1},
        {"login": Model(), "password": 1},
        {"login": Drawn(), "password": 1},
        {"login": Connection("localhost", SECRET), "password": 1},
        {"token": 1, b"token": SECRET},
        {"headers": [{"name": "Authorization", "value": SECRET}]},
        {"attributes": [{"key": "password", "value": {"stringValue": SECRET}}]},
        {"url.full": f"https://ada:with@{SECRET}@example.com/path?x=1"},
        {"url.original": f"/cb?to%6ben={SECRET}"},
        {"url.query": f"next=%2Fcb%3Ftoken%3D{SECRET}"},
        {"urls": [f"https://ada:{SECRET}@example.com"]},
        {"http_proxy": f"http://ada:{SECRET}@proxy:3128"},
        {"dsn": f"postgres://ada:{SECRET}@localhost/db"},
        {"connection_string": f"Server=h;Password={SECRET};Encrypt=yes"},
        {"user": {"login": {"password": SECRET}}},
        {"users": [{"password": SECRET}]},
        {"headers": [["accept", "*/*"], ["authorization", SECRET]]},
        {"headers": (("cookie", SECRET),)},
        {"login": Login("ada", SECRET)},
        {"logins": [Login("ada", SECRET)]},
        {"when": object(), "password": SECRET},
        {"url.query": f"a=1&token={SECRET}&b=2"},
        {"url.full": f"https://ada:{SECRET}@example.com/path?x=1"},
        {"http.request.header.referer": [f"/login?password={SECRET}"]},
        {"redirect_uri": f"https://example.com/#access_token={SECRET}"},
    ],
)
@pytest.mark.parametrize("field", ["attributes", "metadata", "input", "output"])
def test_a_secret_is_found_however_deep_it_lies_and_each_time(
    hidden: dict[str, Any], field: str
) -> None:
    redactor = Redactor()
    kind = "span" if field == "attributes" else "trace"
    for _ in range(3):
        data = line({"type": kind, "id": "1", field: hidden}, redactor)
        assert SECRET.encode() not in data
        assert REDACTED.encode() in data


def test_a_name_that_was_harmless_is_looked_at_again_when_it_holds_more() -> None:
    redactor = Redactor()
    line(wire(attributes={"body": "text"}), redactor)
    assert not redactor.concerns(wire(attributes={"body": "text"}))
    data = line(wire(attributes={"body": {"password": SECRET}}), redactor)
    assert orjson.loads(data)["attributes"] == {"body": {"password": REDACTED}}


def test_an_events_attributes_are_looked_at_too(captured: Captured) -> None:
    writer = obswriter.get_writer()
    inner = SpanEvent(name="login", attributes={"password": SECRET})
    times = {"start_time": 1, "end_time": 2}
    writer.record_span(Span(trace_id="t", name="s", events=[inner], **times))  # type: ignore[arg-type]
    writer.record_trace(Trace(name="t", metadata={"token": SECRET}, **times))  # type: ignore[arg-type]
    writer.record_log(Log(level="info", message="m", attributes={"cookie": SECRET}))
    with obswriter.span("request", attributes={"api_key": SECRET}) as span:
        span.set_attribute("http.request.header.cookie", [SECRET])
    assert len(captured.events()) == 5
    assert SECRET not in str(captured.events())


def test_the_callers_own_values_stay_as_they_are() -> None:
    attributes = {"login": {"password": SECRET}, "token": SECRET}
    line(wire(attributes=attributes))
    assert attributes == {"login": {"password": SECRET}, "token": SECRET}


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("q=shoes&page=2", "q=shoes&page=2"),
        ("token=x", f"token={REDACTED}"),
        ("a=1;api_key=x;b=2", f"a=1;api_key={REDACTED};b=2"),
        ("X-Amz-Signature=abc&X-Amz-Date=1", f"X-Amz-Signature={REDACTED}&X-Amz-Date=1"),
        ("redis://:pw@host:6379/0", f"redis://{REDACTED}@host:6379/0"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("https://ada:p@ss@example.com/a@b", f"https://{REDACTED}@example.com/a@b"),
        ("p%61ssword=x&q=a%20b", f"p%61ssword={REDACTED}&q=a%20b"),
        ("next=/cb%3Ftoken%3Dx%26a%3D1&b=2", f"next={REDACTED}&b=2"),
        ("", ""),
    ],
)
def test_urls_keep_all_but_their_secrets(url: str, safe: str) -> None:
    assert redact_url(url) == safe


def test_a_callable_is_asked_about_everything_else() -> None:
    asked = []

    def redact(name: str, value: Any) -> Any:
        asked.append(name)
        return "someone" if name == "user.name" else value

    attributes = {"user.name": "Ada", "password": SECRET, "nested": {"n": 1}}
    data = line(wire(attributes=attributes), Redactor(redact))
    found = orjson.loads(data)["attributes"]
    assert found == {"user.name": "someone", "password": REDACTED, "nested": {"n": 1}}
    assert asked == ["user.name", "n"]


def test_a_callable_is_asked_about_what_is_in_lists_too() -> None:
    def redact(name: str, value: Any) -> Any:
        return None if name == "user.email" else value

    attributes = {"user.email": ["a@example.com"], "x": [{"user.email": ("b@example.com", 1)}, 2]}
    found = orjson.loads(line(wire(attributes=attributes), Redactor(redact)))["attributes"]
    assert found == {"user.email": [None], "x": [{"user.email": [None, None]}, 2]}


def test_a_callable_that_fails_costs_the_value_and_not_the_event() -> None:
    def redact(name: str, value: Any) -> Any:
        raise ZeroDivisionError

    data = line(wire(attributes={"a": 1}), Redactor(redact))
    assert orjson.loads(data)["attributes"] == {"a": REDACTED}


@pytest.mark.parametrize("returned", ["\ud800", 2**70, {1: 2}, object(), [{2: {3}}]], ids=type)
def test_whatever_a_callable_returns_can_be_written(returned: Any) -> None:
    redactor = Redactor(lambda name, value: returned if name == "a" else value)
    assert "a" in orjson.loads(line(wire(attributes={"a": 1, "b": 2}), redactor))["attributes"]


def test_what_another_thread_changes_meanwhile_costs_no_event() -> None:
    """The bytes are made once: what the caller changes later is not looked at again."""
    state: dict[str, Any] = {"jobs": {"job": "tea", "password": SECRET}}

    def change(name: str, value: Any) -> Any:
        state["jobs"].clear()
        state.clear()
        return value

    data = line(wire(attributes=state), Redactor(change))
    assert orjson.loads(data)["attributes"] == {"jobs": {"job": "tea", "password": REDACTED}}


class Changing(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


def test_attributes_that_change_while_they_are_looked_through_are_looked_through_again() -> None:
    event = wire(attributes=Changing(password=SECRET))
    assert Redactor().concerns(event)


def test_what_is_nested_deeper_than_the_stack_has_room_for_is_left_out_whole() -> None:
    value: Any = SECRET
    for _ in range(240):
        value = {"a": value}

    def descend(left: int) -> bytes:
        return descend(left - 1) if left else line(wire(attributes={"v": value}))

    data = descend(sys.getrecursionlimit() - 400)
    assert SECRET.encode() not in data
    assert orjson.loads(data)["type"] == "span"


@pytest.mark.parametrize(
    "query",
    [
        "?=" + "a" * 200_000,
        "/" + "//" * 100_000,
        "a=" * 100_000,
        "?" * 200_000,
        "//" + "a" * 200_000,
        "a=%25" + "25" * 100_000,
    ],
    ids=["one name", "slashes", "names", "marks", "a user", "escapes"],
)
def test_a_long_query_takes_no_long_time(query: str) -> None:
    """Quadratic, each of these would take minutes: the timeout of a test ends them."""
    assert len(redact_url(query)) == len(query)


def test_it_is_an_option_of_the_writer() -> None:
    with capture(redact=False) as off:
        obswriter.log("info", "m", attributes={"password": SECRET})
        assert off.one("log")["attributes"] == {"password": SECRET}
    with capture(redact=lambda name, value: name) as own:
        obswriter.log("info", "m", attributes={"a": 1, "password": SECRET})
        assert own.one("log")["attributes"] == {"a": "a", "password": REDACTED}
    with pytest.raises(obswriter.ConfigurationError, match="redact must be True, False or"):
        obswriter.ObservabilityWriterConfig(file_storage=".", project_id="p", redact="yes")  # type: ignore[arg-type]


def test_the_names_it_remembers_are_bounded() -> None:
    redactor = Redactor()
    for number in range(MOST_NAMES + 100):
        redactor.clean(orjson.dumps(wire(attributes={f"name {number}": 1})))
    assert len(redactor._plain) == MOST_NAMES
    data = line(wire(attributes={"one more": 1, "password": SECRET}), redactor)
    assert orjson.loads(data)["attributes"] == {"one more": 1, "password": REDACTED}


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
names = st.sampled_from(["a", "b.c", "headers", "url.query", "password", "x-api-key"]) | st.text()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(names, inner)
        | st.dictionaries(names, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(names, nested, max_size=4), max_size=5))
def test_whatever_comes_before_no_named_secret_is_written(history: list[dict[str, Any]]) -> None:
    redactor = Redactor()
    for attributes in history:
        found = orjson.loads(line(wire(attributes=attributes), redactor)).get("attributes", {})
        assert_redacted(found)


def assert_redacted(value: Any) -> None:
    if isinstance(value, dict):
        for name in {"password", "x-api-key"} & value.keys():
            assert value[name] == REDACTED
        for inner in value.values():
            assert_redacted(inner)
    elif isinstance(value, list):
        for inner in value:
            assert_redacted(inner)
