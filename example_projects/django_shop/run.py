"""Runs the shop until Ctrl-C. With --drive: buys in it, stops it, and shows what it recorded."""

import json
import secrets
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WEB = ["-m", "gunicorn", "shop.wsgi", "--workers", "2"]
# Celery gives the root logger this level: its default, WARNING, would leave out what tasks log.
WORKER = ["-m", "celery", "--app", "shop", "worker", "--concurrency", "2", "--loglevel", "INFO"]
TASK_SECONDS = 60


def main() -> None:
    drive = "--drive" in sys.argv[1:]
    run("manage.py", "migrate")
    run("manage.py", "loaddata", "products")
    with socket.create_server(("127.0.0.1", 0 if drive else 8000)) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        # The socket listens already, so requests wait until the server is ready for them.
        web = start(*WEB, "--bind", f"fd://{fd}", pass_fds=[fd])
    worker = start(*WORKER)
    visit = Visit(port, worker)
    try:
        print(f"http://127.0.0.1:{port}/products/ is served by process {web.pid}", flush=True)
        if drive:
            visit.buy()
        else:
            web.wait()
    except KeyboardInterrupt:
        drive = False
    finally:
        for process in (web, worker):
            process.terminate()  # SIGTERM
        statuses = web.wait(), worker.wait()
    if drive:
        print("The web server and the worker ended with status {} and {}.".format(*statuses))
        print(f"{len(visit.traces)} requests were answered; what they recorded:", flush=True)
        run("-m", "obswriter", "ls")
        run("-m", "obswriter", "trace", visit.order)
        run("-m", "obswriter", "trace", visit.refusal)
    sys.exit(any(statuses))


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *arguments], cwd=HERE, **options)


def run(*arguments: str) -> None:
    print(f"\n$ {' '.join(arguments).removeprefix('-m ')}", flush=True)
    subprocess.run([sys.executable, *arguments], cwd=HERE, check=True)


class Visit:
    """Requests to the shop, each in a trace of its own, whose id is kept in ``traces``."""

    def __init__(self, port: int, worker: subprocess.Popen[bytes]) -> None:
        self.port, self.worker = port, worker
        self.traces: list[str] = []
        self.order = self.refusal = ""

    def buy(self) -> None:
        self.ask("GET /products/", 200)
        self.ask("GET /products/coffee/", 200)
        self.ask("GET /products/hammer/", 404)
        self.ask("GET /stock/", 200)
        self.ask("POST /checkout/", 500, {"product": "teapot", "quantity": 3})
        self.refusal = self.traces[-1]
        for product in ("green-tea", "coffee"):
            order = self.ask("POST /checkout/", 202, {"product": product, "quantity": 2})["order"]
            self.order = self.traces[-1]
            self.wait_for(order)

    def wait_for(self, order: int) -> None:
        deadline = time.monotonic() + TASK_SECONDS
        while not self.ask(f"GET /orders/{order}/", 200)["is_shipped"]:
            if self.worker.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the worker has not shipped order {order}")
            time.sleep(0.1)

    def ask(self, request: str, expected: int, body: object = None) -> Any:
        method, path = request.split()
        self.traces.append(secrets.token_hex(16))
        parent = f"00-{self.traces[-1]}-{secrets.token_hex(8)}-01"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, json.dumps(body), {"traceparent": parent})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != expected:
            sys.exit(f"{request} was answered with {response.status}, not {expected}")
        return json.loads(content) if content.startswith(b"{") else content


if __name__ == "__main__":
    main()
