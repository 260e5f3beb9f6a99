"""The demo's web application: a shop."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import obswriter
from obswriter_asgi import ObservabilityMiddleware

from .worker import logger, send_receipt


class CardDeclinedError(Exception):
    """What goes wrong in this shop."""


async def list_products(request: Request) -> Response:
    """Log, and measure a value."""
    with obswriter.span("SELECT products", kind="client"):
        await asyncio.sleep(0.004)
    logger.info("listed %d products", 3)
    obswriter.metric("shop.products.listed", 3, unit="{product}")
    return JSONResponse(["tea", "coffee", "cake"])


async def show_product(request: Request) -> Response:
    """Score a recommendation."""
    with obswriter.span("recommend"):
        await asyncio.sleep(0.006)
        obswriter.score("recommendation.relevance", 0.93, comment="cake goes with tea")
    return JSONResponse({"name": "tea", "goes with": ["cake"]})


def place_order(request: Request) -> Response:
    """Publish a task."""
    order = int(request.path_params["order"])
    with obswriter.span("charge card", kind="client", attributes={"shop.order": order}):
        time.sleep(0.008)
    logger.info("order %d is paid", order)
    send_receipt.delay(order)
    return JSONResponse({"order": order}, status_code=202)


async def stream_report(request: Request) -> Response:
    """Answer in parts."""
    return StreamingResponse(_lines(), media_type="text/csv")


async def _lines() -> AsyncIterator[str]:
    for day in range(5):
        await asyncio.sleep(0.004)
        yield f"{day},{day * 100}\n"
    logger.info("report of %d days sent", 5)


async def refund(request: Request) -> Response:
    """Fail."""
    with obswriter.span("refund card", kind="client"):
        logger.warning("the bank is slow today")
        await asyncio.sleep(0.005)
        raise CardDeclinedError("the bank refuses to pay order 13 back")


app = Starlette(
    routes=[
        Route("/products", list_products),
        Route("/products/{product:int}", show_product),
        Route("/orders/{order:int}", place_order, methods=["POST"]),
        Route("/orders/{order:int}/refund", refund, methods=["POST"]),
        Route("/report", stream_report),
    ],
    middleware=[Middleware(ObservabilityMiddleware)],
)
