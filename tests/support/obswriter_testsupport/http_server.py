"""A small HTTP/1.1 server in a thread, which says afterwards what it was asked."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Asked:
    """One request, as it came over the wire."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: tuple[str, int]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def parent(self) -> str:
        """The span that its one ``traceparent`` names."""
        [value] = self.all("traceparent")
        return value.split("-")[2]


@dataclass
class Server:
    """Answers ``/``, ``/status/404``, ``/redirect/2``, ``/drop`` (not at all) and ``/stream``."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """What ``/stream`` waits for between the headers and the body."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: Server

    def answer(self) -> None:
        site, (_, where, *rest) = self.site, self.path.partition("?")[0].split("/")
        asked = Asked(
            self.command, self.path, self.headers.items(), self.body(), self.client_address
        )
        site.asked.append(asked)
        if where == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif where == "redirect" and rest != ["0"]:
            self.reply(302, location=f"/redirect/{int(rest[0]) - 1}")
        elif where == "status":
            self.reply(int(rest[0]))
        elif where == "stream":
            self.reply(200, early=True)
        else:
            self.reply(200)

    def reply(self, status: int, *, early: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"x-shop": "A-17", "content-length": "2", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if early:
            self.wfile.flush()
            self.site.go_on.wait(30)
        self.wfile.write(b"ok")

    def body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    do_GET = do_PUT = do_BREW = answer  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Server]:
    """Serve on loopback until the block ends."""
    site = Server()
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.go_on.set()
            server.shutdown()
            thread.join()
