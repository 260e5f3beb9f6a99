"""The registry of the context's variables; whoever imports it loads contextvars-extras, too."""

from typing import Any

from contextvars_extras import ContextVarsRegistry


class ObswriterContext(ContextVarsRegistry):  # type: ignore[misc]  # it ships no types
    """Its one variable is the current span."""

    _registry_allocate_on_setattr = False
    span: Any = None
