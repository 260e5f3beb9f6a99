"""Runs app.py until Ctrl-C. With --drive: visits it, stops it, and shows what it recorded."""

import json
import secrets
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    drive = "--drive" in sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0 if drive else 8000)) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        # The socket listens already, so requests wait until the server is ready for them.
        command = [sys.executable, "-m", "uvicorn", "app:app", "--fd", str(fd)]
        server = subprocess.Popen(command, cwd=HERE, pass_fds=[fd])
    try:
        print(f"http://127.0.0.1:{port} is served by process {server.pid}", flush=True)
        traces = visit(port) if drive else server.wait()
    except KeyboardInterrupt:
        drive = False
    finally:
        server.terminate()  # SIGTERM
        status = server.wait()
    if drive:
        print(f"The server ended with status {status}.")
        print(f"{len(traces)} requests were answered; what they recorded:", flush=True)
        show("ls")
        for path in ("POST /items/1/forecast", "GET /items/2/supplier", "GET /export"):
            show("trace", traces[path])


def visit(port: int) -> dict[str, str]:
    """Make some requests, each in a trace of its own; return the trace ids by request."""
    traces: dict[str, str] = {}

    def ask(request: str, expected: int, body: object = None) -> Any:
        method, path = request.split()
        traces[request] = secrets.token_hex(16)
        headers = {
            "Content-Type": "application/json",
            "traceparent": f"00-{traces[request]}-{secrets.token_hex(8)}-01",
        }
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != expected:
            sys.exit(f"{request} was answered with {response.status}, not {expected}")
        return json.loads(content) if content.startswith(b"{") else content

    found = ask("GET /items?words=tea", 200)
    ask("POST /scores", 204, {"trace_id": found["trace_id"], "value": 0.5, "comment": "no mate"})
    for number in found["items"]:
        ask(f"GET /items/{number}", 200)
    ask("GET /items/9", 404)
    ask("GET /items/2/supplier", 500)
    ask("POST /items/1/forecast", 202)
    ask("GET /export", 200)
    return traces


def show(*command: str) -> None:
    print(f"\n$ obswriter {' '.join(command)}", flush=True)
    subprocess.run([sys.executable, "-m", "obswriter", *command], cwd=HERE, check=True)


if __name__ == "__main__":
    main()
