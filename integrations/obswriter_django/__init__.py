"""Observability for Django sites: a trace and a span per request, and the view's span within it.

INSTALLED_APPS = ["obswriter_django", ...]
MIDDLEWARE = ["obswriter_django.ObservabilityMiddleware", ...]  # first: it measures what follows
OBSWRITER = {"FILE_STORAGE": "/var/lib/shop", "PROJECT_ID": "shop", "EXCLUDE": ["/healthz"]}
"""

from .middleware import ObservabilityMiddleware

__all__ = ["ObservabilityMiddleware"]
