"""Asks a server whether it is there, in its own protocol and with the standard library alone.

`python -m obswriter_testsupport.probes redis|amqp|postgres` exits with 0 when it answers.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Server:
    """A server the tests use where it is found: by its variable, else on loopback."""

    variable: str
    default_url: str
    default_port: int
    request: bytes
    answers: tuple[bytes, ...]

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default_url

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or self.default_port

    def problem(self, timeout: float = 3.0) -> str | None:
        """Say what is wrong with the server, or return None when it answers."""
        try:
            with socket.create_connection(self.address, timeout=timeout) as connection:
                connection.sendall(self.request)
                answer = connection.recv(64)
        except OSError as error:
            return f"{self} does not answer: {error}"
        if not answer.startswith(self.answers):
            return f"{self} answered {answer!r}, which is another protocol"
        return None

    def __str__(self) -> str:
        host, port = self.address
        return f"the server at {host}:{port} ({self.variable})"


SERVERS = {
    "redis": Server(
        "REDIS_URL",
        "redis://127.0.0.1:6379/0",
        6379,
        request=b"PING\r\n",
        answers=(b"+PONG", b"-NOAUTH"),
    ),
    "amqp": Server(
        "AMQP_URL",
        "amqp://guest:guest@127.0.0.1:5672//",
        5672,
        request=b"AMQP\x00\x00\x09\x01",
        # A method frame on channel 0: Connection.Start.
        answers=(b"\x01\x00\x00",),
    ),
    "postgres": Server(
        "DATABASE_URL",
        "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
        5432,
        request=struct.pack("!ii", 8, 80877103),  # SSLRequest
        answers=(b"S", b"N"),
    ),
}


def main() -> int:
    problems = [problem for name in sys.argv[1:] if (problem := SERVERS[name].problem())]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
