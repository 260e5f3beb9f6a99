"""Whom a proxy speaks for, and who is believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obswriter_http import TrustedProxies
from obswriter_http.forwarding import Origin

TRUSTED = TrustedProxies("trusted_proxies", ["10.0.0.0/8", "::1"])


def ask(peer: str | None, **headers: str) -> Origin | None:
    return TRUSTED.origin(peer, lambda name: headers.get(name.replace("-", "_")))


def test_who_is_not_trusted_is_not_believed() -> None:
    assert ask("192.0.2.1", x_forwarded_for="198.51.100.7") is None
    assert ask("not an address", x_forwarded_for="198.51.100.7") is None
    assert ask(None, forwarded="for=198.51.100.7") is None


def test_without_headers_the_proxy_is_the_client() -> None:
    assert ask("10.1.2.3") is None


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:5000", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the client's own claim comes first
        ("203.0.113.9, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.8.8.8, 10.9.9.9", "10.8.8.8"),  # all are ours
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:5000", "2001:db8::7"),
        (" , unknown, 10.9.9.9", "unknown"),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_is(header: str, client: str) -> None:
    found = ask("10.1.2.3", x_forwarded_for=header)
    assert found is not None
    assert found.client == client


def test_one_value_counts_for_all_and_a_list_for_each() -> None:
    both = {"x_forwarded_for": "198.51.100.7, 10.9.9.9", "x_forwarded_host": "shop.example.com"}
    found = ask("10.1.2.3", **both, x_forwarded_proto="https, http")
    assert found == Origin("198.51.100.7", "https", "shop.example.com")


@pytest.mark.parametrize(
    ("header", "origin"),
    [
        ("for=198.51.100.7", Origin("198.51.100.7")),
        (
            'For="[2001:db8::7]:4711";proto=https;host="shop.example.com:8443";by=10.0.0.1',
            Origin("2001:db8::7", "https", "shop.example.com:8443"),
        ),
        (
            "for=203.0.113.9;proto=http, for=198.51.100.7;proto=https, for=10.9.9.9",
            Origin("198.51.100.7", "https"),
        ),
        (r'for="a\"b"', Origin('a"b')),
    ],
)
def test_rfc_7239_before_the_older_headers(header: str, origin: Origin) -> None:
    assert ask("::1", forwarded=header, x_forwarded_for="192.0.2.99") == origin


@given(forwarded=st.text(max_size=80), x_forwarded_for=st.text(max_size=80))
def test_no_header_is_an_error(forwarded: str, x_forwarded_for: str) -> None:
    ask("10.1.2.3", forwarded=forwarded)
    ask("10.1.2.3", x_forwarded_for=x_forwarded_for, x_forwarded_proto=forwarded)


@pytest.mark.parametrize(
    ("networks", "error", "said"),
    [
        ("10.0.0.0/8", TypeError, "trusted_proxies must be a sequence .* got '10.0.0.0/8'"),
        (5, TypeError, "trusted_proxies must be a sequence"),
        (["10.0.0.1/8"], ValueError, "trusted_proxies must hold addresses .* got '10.0.0.1/8'"),
        (["proxy.local"], ValueError, "such as '10.0.0.0/8'; got 'proxy.local'"),
    ],
)
def test_a_wrong_network_is_named(networks: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        TrustedProxies("trusted_proxies", networks)
