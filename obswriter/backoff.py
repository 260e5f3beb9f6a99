"""How long a store that fails is left alone: twice as long each time, up to a bound, and jitter."""

import random
import time

from .config import ObservabilityWriterConfig

_random = random.Random()  # never the application's own sequence


class Backoff:
    """Counts the failures since the last success, and says from when on to try again."""

    def __init__(self, config: ObservabilityWriterConfig) -> None:
        self._config = config
        self.succeed()

    def succeed(self) -> None:
        """Have the next attempt made at once."""
        self.failures, self.retry_at = 0, 0.0  # of time.monotonic()

    def fail(self) -> None:
        """Wait, longer than the last time."""
        grown = self._config.retry_initial_ms * 2 ** min(self.failures, 30)
        delay = min(self._config.retry_max_ms, grown) / 1000
        self.failures += 1
        self.retry_at = time.monotonic() + delay * _random.uniform(0.5, 1.0)
