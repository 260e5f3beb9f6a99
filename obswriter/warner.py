"""Says what goes wrong, on the logger ``obswriter``: once a minute, and when no lock is held.

A logging handler may itself record or flush.
"""

import logging
import time
from contextlib import suppress
from typing import Final

from .redaction import redact_url
from .repair import repair
from .storage import storing

logger = logging.getLogger("obswriter")

WARNING_SECONDS: Final = 60.0


class Warner:
    """Collects warnings until they may be said."""

    def __init__(self) -> None:
        self._waiting: dict[str, object] = {}
        self._said_at = float("-inf")

    def warn(self, text: str, detail: object = None) -> None:
        """Have a warning logged soon, with its latest detail: an exception, say."""
        if isinstance(detail, OSError) and type(detail).__module__ == "builtins":
            detail = str(detail)  # which names the file
        self._waiting[text] = detail and redact_url(str(repair(detail)))

    def say(self, *, always: bool = False) -> None:
        """Log what waits, unless that was done within the last minute, or *always*."""
        now = time.monotonic()
        if self._waiting and (always or now - self._said_at >= WARNING_SECONDS):
            self._said_at = now
            warnings, self._waiting = self._waiting, {}
            with storing(), suppress(Exception):  # a handler's errors are its own
                for text, detail in warnings.items():
                    logger.warning("obswriter: %s%s", text, f": {detail}" if detail else "")
