"""What the shop answers, in JSON."""

import json
import logging

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

import obswriter

from .models import Order, Product
from .tasks import ship_order

logger = logging.getLogger(__name__)


def list_products(request: HttpRequest) -> JsonResponse:
    products = list(Product.objects.order_by("name").values("slug", "name", "price"))
    logger.info("listed %d products", len(products))
    return JsonResponse({"products": products})


def show_product(request: HttpRequest, slug: str) -> JsonResponse:
    product = get_object_or_404(Product, slug=slug)
    return JsonResponse({"name": product.name, "price": product.price, "stock": product.stock})


async def count_stock(request: HttpRequest) -> JsonResponse:
    """Answer asynchronously."""
    with obswriter.span("count", attributes={"db.collection.name": "store_product"}):
        stock = {product.slug: product.stock async for product in Product.objects.all()}
    return JsonResponse(stock)


@csrf_exempt
@require_POST
@transaction.atomic
def check_out(request: HttpRequest) -> JsonResponse:
    """Take an order; the database refuses, by an exception, what the stock doesn't allow."""
    wanted = json.loads(request.body)
    product = get_object_or_404(Product, slug=wanted["product"])
    with obswriter.span("reserve", attributes={"shop.quantity": wanted["quantity"]}):
        Product.objects.filter(pk=product.pk).update(stock=F("stock") - wanted["quantity"])
        order = Order.objects.create(product=product, quantity=wanted["quantity"])
    obswriter.metric("shop.revenue", product.price * order.quantity, unit="EUR")
    logger.info("took order %d", order.pk, extra={"product": product.slug})
    ship_order.delay_on_commit(order.pk)
    return JsonResponse({"order": order.pk}, status=202)


def show_order(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse({"is_shipped": get_object_or_404(Order, pk=pk).is_shipped})
