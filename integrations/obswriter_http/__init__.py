"""What the web adapters share: HTTP's conventions and the options every one of them has."""

from .conventions import METHODS, PORTS, method_attributes, name_method, split_host
from .forwarding import TrustedProxies
from .options import HeaderNames, Hook, HttpOptions, Paths
from .requests import RequestMetrics

__all__ = [
    "METHODS",
    "PORTS",
    "HeaderNames",
    "Hook",
    "HttpOptions",
    "Paths",
    "RequestMetrics",
    "TrustedProxies",
    "method_attributes",
    "name_method",
    "split_host",
]
