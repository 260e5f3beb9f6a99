"""The demo's Celery app, its one task, and what the worker and the web application share."""

import logging
import os
import time

from celery import Celery

import obswriter
import obswriter_celery
from obswriter_logging import ObservabilityHandler

FOLDER = "SHOP_BROKER_FOLDER"
"""The variable that names the directory through which messages go."""

obswriter.configure()
obswriter_celery.install()
logging.getLogger().addHandler(ObservabilityHandler())
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)

_folder = os.environ[FOLDER]
app = Celery("shop", broker="filesystem://localhost", set_as_current=False)
app.conf.update(
    broker_transport="obswriter.cli.demo.broker:Transport",
    broker_transport_options={
        "data_folder_in": f"{_folder}/messages",
        "data_folder_out": f"{_folder}/messages",
        "processed_folder": f"{_folder}/processed",
        "control_folder": f"{_folder}/control",
        "store_processed": False,
        "polling_interval": 0.05,
    },
    task_ignore_result=True,
)


@app.task(name="send_receipt")
def send_receipt(order: int) -> None:
    """Pretend to write and send a receipt."""
    with obswriter.span("render receipt", attributes={"shop.order": order}):
        time.sleep(0.01)
    logger.info("receipt of order %d sent", order)
