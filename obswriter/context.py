"""The current span, carried through calls, tasks and threads by contextvars-extras.

The library (and asyncio with it) is loaded when the first writer is made, not on import; call
the functions through the module, since loading replaces them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .propagation import SpanContext
    from .spans import LiveSpan


SpanLike: TypeAlias = "LiveSpan | SpanContext"
"""What a parent is: a span of this process, or of another."""


def _before_first_writer() -> "SpanLike | None":
    return None


def _load_and_attach(span: "SpanLike | None") -> None:
    load()
    attach(span)


current: Callable[[], "SpanLike | None"] = _before_first_writer
"""Return the current span, or ``None``."""

attach: Callable[["SpanLike | None"], Any] = _load_and_attach
"""Make a span the current one in this context. Whoever does restores the one before."""


def load() -> None:
    """Load what this stands on; again, it does nothing."""
    global current, attach
    from .registry import ObswriterContext

    # The raw methods: attribute access through the registry costs five times as much.
    current = ObswriterContext.span.get_raw
    attach = ObswriterContext.span.set
