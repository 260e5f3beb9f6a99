"""Everything obswriter raises on purpose.

ObswriterError
+-- ConfigurationError      (also a ValueError)    an option is wrong, and what to write
+-- AlreadyConfiguredError  (also a RuntimeError)  configure() called twice, differently
+-- WriterShutdownError     (also a RuntimeError)  record_*() after shutdown()
+-- StorageError            (also an OSError)      the store must not do what was asked
"""


class ObswriterError(Exception):
    """Base of all of obswriter's own exceptions."""


class ConfigurationError(ObswriterError, ValueError):
    """An option is missing or has a value that cannot work."""


class AlreadyConfiguredError(ObswriterError, RuntimeError):
    """The process-wide writer exists already, with other options."""


class WriterShutdownError(ObswriterError, RuntimeError):
    """An event was recorded after ``shutdown()``."""

    def __init__(self) -> None:
        super().__init__("Cannot add events after shutdown")


class StorageError(ObswriterError, OSError):
    """The store was asked for something it must not do."""
