"""Keep your own observability data: events in plain JSONL files, in your own storage.

The public names (``api.py``) are loaded when the first of them is used: importing obswriter
costs an application nothing that records nothing.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import *  # noqa: F403 (its __all__ says what)

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if find_spec(f"{__name__}.{name}") is not None:
        return import_module(f".{name}", __name__)
    api = import_module(".api", __name__)
    if name == "__all__" or name in api.__all__:
        # All of them: what is recorded while the interpreter ends can't look for more.
        globals().update((known, getattr(api, known)) for known in api.__all__)
        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
