"""Client spans of httpx, requests and urllib, and ``traceparent`` in what they send.

undo = obswriter_client.observe_httpx()

Each is one explicit call; it imports the library, and what it returns takes it back.
"""

from .of_httpx import observe_httpx
from .of_requests import observe_requests
from .of_urllib import observe_urllib

__all__ = ["observe_httpx", "observe_requests", "observe_urllib"]
