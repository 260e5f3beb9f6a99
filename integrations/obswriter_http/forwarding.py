"""Who the client is behind proxies: only those that the user trusts are believed.

``Forwarded`` (RFC 7239) before ``X-Forwarded-For``, ``-Proto`` and ``-Host``.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from .conventions import split_host

Network = IPv4Network | IPv6Network
GetHeader = Callable[[str], str | None]
"""Returns all values of a header, joined by commas, or ``None``; asked with a lower-case name."""

_pair = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*(;|,|\Z)')


@dataclass(frozen=True)
class Origin:
    """What a proxy says of the request it passed on; ``None`` for what it left out."""

    client: str
    scheme: str | None = None
    host: str | None = None


class TrustedProxies:
    """The networks whose forwarding headers count."""

    def __init__(self, option: str, networks: Iterable[str]) -> None:
        if isinstance(networks, str | bytes) or not isinstance(networks, Iterable):
            raise TypeError(
                f"{option} must be a sequence of addresses and networks, such as "
                f"['127.0.0.1', '10.0.0.0/8']; got {networks!r}"
            )
        self._networks = [_network(option, network) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def origin(self, peer: str | None, get_header: GetHeader) -> Origin | None:
        """Return whom *peer*, the other end of the connection, speaks for."""
        if peer is None or not self._trusts(peer):
            return None
        forwarded = get_header("forwarded")
        hops = _rfc7239(forwarded) if forwarded else _de_facto(get_header)
        found = None
        for hop in reversed(hops):
            found = hop
            if not self._trusts(hop.client):
                break
        return found

    def _trusts(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:  # "unknown", an obfuscated name, a Unix socket
            return False
        return any(ip in network for network in self._networks)


def _network(option: str, text: object) -> Network:
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise ValueError(
            f"{option} must hold addresses and networks, such as '10.0.0.0/8'; "
            f"got {text!r} ({error})"
        ) from None


def _rfc7239(header: str) -> list[Origin]:
    hops: list[Origin] = []
    hop: dict[str, str] = {}
    position = 0
    while position < len(header) and (pair := _pair.match(header, position)):
        name, quoted, plain, end = pair.groups()
        hop[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = pair.end()
        if end != ";":
            client = split_host(hop.get("for", ""), None)[0]
            hops.append(Origin(client, hop.get("proto"), hop.get("host")))
            hop = {}
    return hops


def _de_facto(get_header: GetHeader) -> list[Origin]:
    clients = _listed(get_header("x-forwarded-for"))
    schemes = _listed(get_header("x-forwarded-proto"))
    hosts = _listed(get_header("x-forwarded-host"))

    def at(values: list[str], place: int) -> str | None:
        """Some proxies add to every list, others set one value for all."""
        return values[place] if len(values) == len(clients) else next(reversed(values), None)

    return [
        Origin(_address(client), at(schemes, place), at(hosts, place))
        for place, client in enumerate(clients)
    ]


def _address(client: str) -> str:
    """Some proxies add the port; an IPv6 address without brackets has none."""
    return client if client.count(":") > 1 and "]" not in client else split_host(client, None)[0]


def _listed(header: str | None) -> list[str]:
    return [value.strip() for value in header.split(",") if value.strip()] if header else []
