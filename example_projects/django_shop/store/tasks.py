"""What the worker does for the shop."""

import logging

from celery import shared_task

import obswriter

from .models import Order

logger = logging.getLogger(__name__)


@shared_task
def ship_order(order_id: int) -> None:
    order = Order.objects.select_related("product").get(pk=order_id)
    with obswriter.span("print label", attributes={"shop.order": order_id}):
        label = f"{order.quantity} {order.product.name}"
    order.is_shipped = True
    order.save(update_fields=["is_shipped"])
    logger.info("shipped order %d: %s", order_id, label)
