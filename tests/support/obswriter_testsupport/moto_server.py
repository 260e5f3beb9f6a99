"""moto's S3 server with one `Server` header a response: `python moto_server.py PORT`.

moto's own command sends two, which aiohttp refuses in Python's development mode.
"""

from __future__ import annotations

import sys

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple


class OneServerHeader(MotoRequestHandler):
    def send_response(self, code: int, message: str | None = None) -> None:
        self.server_header_sent = False
        super().send_response(code, message)

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() == "server":
            if self.server_header_sent:
                return
            self.server_header_sent = True
        super().send_header(keyword, value)


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=OneServerHeader,
    )
