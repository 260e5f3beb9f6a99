"""Traces the requests of Starlette, FastAPI and any other ASGI application.

app.add_middleware(ObservabilityMiddleware)
"""

from .middleware import ObservabilityMiddleware

__all__ = ["ObservabilityMiddleware"]
