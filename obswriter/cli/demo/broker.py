"""Celery's file-system broker, safe to read from while messages are being written.

kombu's own lets a worker take a message file that is still empty, and the worker then ends.
"""

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Messages appear whole: written under a name no worker looks for, then renamed."""

    def _put(  # type: ignore[override]  # kombu's own parameters differ from its base's
        self, queue: str, payload: Any, **kwargs: Any
    ) -> None:
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid4()}.{queue}.msg"
        staged = Path(self.data_folder_out, f".{name}")
        staged.write_text(dumps(payload))
        staged.rename(staged.with_name(name))


class Transport(filesystem.Transport):
    """For the setting ``broker_transport``, in place of ``filesystem``."""

    Channel = Channel
