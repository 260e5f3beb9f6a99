"""A shop's stock as a web service. What is about obswriter ends with a comment that says so."""

import asyncio
import logging.config
import math
from collections.abc import AsyncIterator
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import obswriter
from obswriter_asgi import ObservabilityMiddleware

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,  # uvicorn has made its own before this module
        "handlers": {"obswriter": {"class": "obswriter_logging.ObservabilityHandler"}},  # obswriter
        "root": {"handlers": ["obswriter"], "level": "INFO"},
    }
)
logger = logging.getLogger("stock")

obswriter.configure(project_id="stock")  # obswriter: below ./observability, or where
app = FastAPI(title="Stock")  # OBSWRITER_FILE_STORAGE says
app.add_middleware(ObservabilityMiddleware)  # obswriter

ITEMS = {1: "green tea", 2: "black tea", 3: "coffee"}
SALES = {1: [30, 34, 41, 44], 2: [21, 20, 18, 17], 3: [50, 49, 53, 51]}
FORECASTS: dict[int, int] = {}


class Score(BaseModel):
    trace_id: str
    value: float
    comment: str | None = None


def find_item(item_id: int) -> str:
    if item_id not in ITEMS:
        raise HTTPException(404, f"there is no item {item_id}")
    return ITEMS[item_id]


@app.get("/items")
def search_items(words: str = "") -> dict[str, Any]:
    """Find items; the trace's id goes with them, so that the client can score what it got."""
    with obswriter.span("search", attributes={"search.words": words}) as span:  # obswriter
        found = {number: name for number, name in ITEMS.items() if words in name}
        span.set_attribute("search.found", len(found))  # obswriter
    return {"items": found, "trace_id": span.trace_id}


@app.post("/scores", status_code=204)
def score_search(score: Score) -> None:
    obswriter.score(  # obswriter
        "search.relevance", score.value, comment=score.comment, trace_id=score.trace_id
    )


@app.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, Any]:
    name = find_item(item_id)
    logger.info("item %d is asked for", item_id, extra={"item": name})
    return {"name": name, "forecast": FORECASTS.get(item_id)}


@app.get("/items/{item_id}/supplier")
async def ask_supplier(item_id: int) -> None:
    """Fail."""
    logger.warning("asking the supplier of %s", find_item(item_id))
    raise ConnectionError("the supplier does not answer")


@app.post("/items/{item_id}/forecast", status_code=202)
def order_forecast(item_id: int, background: BackgroundTasks) -> dict[str, str]:
    background.add_task(forecast, find_item(item_id), item_id)
    return {"status": "in the making"}


def forecast(name: str, item_id: int) -> None:
    """Compute after the response is sent, in a thread: still within the request's trace."""
    with obswriter.span("load sales"):  # obswriter
        sales = SALES[item_id]
    with obswriter.span("fit trend", attributes={"weeks": len(sales)}):  # obswriter
        weekly_change = (sales[-1] - sales[0]) / (len(sales) - 1)
        FORECASTS[item_id] = math.ceil(sales[-1] + weekly_change)
    obswriter.metric("forecast.units", FORECASTS[item_id], unit="{unit}")  # obswriter
    logger.info("next week %d of %s will be sold", FORECASTS[item_id], name)


@app.get("/export")
async def export_items() -> StreamingResponse:
    return StreamingResponse(csv_lines(), media_type="text/csv")


async def csv_lines() -> AsyncIterator[str]:
    for number, name in ITEMS.items():
        yield f"{number},{name}\n"
        await asyncio.sleep(0)
    logger.info("exported %d items", len(ITEMS))
