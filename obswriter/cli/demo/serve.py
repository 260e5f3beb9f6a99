"""Serves the demo's web application on a listening socket, whose descriptor is the argument."""

import socket
import sys

import uvicorn

from .web import app

if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
