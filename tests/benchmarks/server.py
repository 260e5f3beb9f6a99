"""A real uvicorn with one route that computes for about 2 ms: `server.py WATCHED ROUNDS FOLDER`.

Prints where it listens. Each answer is the CPU time it has used, in seconds, with its own threads'.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
from time import process_time


def main(watched: str, rounds: str, folder: str) -> None:
    try:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
    except ImportError as error:
        print(json.dumps({"skipped": str(error)}), flush=True)
        return

    async def order(request: object) -> PlainTextResponse:
        _compute(int(rounds))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return PlainTextResponse(str(usage.ru_utime + usage.ru_stime))

    app = Starlette(routes=[Route("/orders/{id}", order)])
    if int(watched):
        import obswriter
        from obswriter_asgi import ObservabilityMiddleware

        obswriter.configure(file_storage=folder, project_id="bench")
        app.add_middleware(ObservabilityMiddleware)
    # With its protocol named, asyncio has each answer sent at once, and not after 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run([listening])


def _compute(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number * number
    return total


def rounds_of(seconds: float) -> int:
    """Return how many rounds take so long on this machine."""
    rounds = 1000
    while True:
        began = process_time()
        _compute(rounds)
        if process_time() - began > seconds:
            return rounds
        rounds = rounds * 5 // 4


if __name__ == "__main__":
    main(*sys.argv[1:])
