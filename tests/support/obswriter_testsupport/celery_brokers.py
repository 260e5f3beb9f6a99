"""A shop of Celery tasks whose messages go through a broker of one's choice, and no trace of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from obswriter_testsupport.celery_workers import Shop, make_shop
from obswriter_testsupport.probes import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_shop(folder: Path, storage: Path, broker: str) -> Iterator[Shop]:
    """Make a shop whose messages go through ``redis``, ``amqp``, or without either through files.

    Its queue is removed in the end.
    """
    url = SERVERS[broker].url if broker else "filesystem://"
    shop = make_shop(folder, storage, url)
    if broker == "redis":
        shop.conf["broker_transport_options"] = {"global_keyprefix": f"{uuid4().hex}:"}
    try:
        yield shop
    finally:
        {"redis": clear_redis, "amqp": clear_amqp}.get(broker, lambda _: None)(shop)


def clear_redis(shop: Shop) -> None:
    """Delete the messages, and what kombu notes about those that were never settled."""
    import redis

    prefix = shop.conf["broker_transport_options"]["global_keyprefix"]
    with redis.Redis.from_url(shop.conf["broker_url"]) as client:
        for key in client.scan_iter(f"{prefix}*", 1000):
            client.delete(key)


def clear_amqp(shop: Shop) -> None:
    with shop.publisher() as app, app.connection_for_write() as connection:
        queue = app.amqp.queues[shop.conf["task_default_queue"]](connection.default_channel)
        queue.delete()
        queue.exchange.delete()
