"""Other logging libraries in front of the handler, as their documentation connects them."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import pytest

import obswriter
from obswriter_logging import ObservabilityHandler
from obswriter_testsupport.faults import run, stored_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


@pytest.fixture
def stdlib() -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("shop"), ObservabilityHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("stdlib")
def test_structlog(captured: Captured) -> None:
    """hynek/structlog#590: unexpected handling of exc_info when using .exception;
    hynek/structlog#173: Traceback missing
    """
    structlog = pytest.importorskip("structlog")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    try:
        log = structlog.get_logger("shop.web").bind(tenant="acme")
        with obswriter.span("checkout") as span:
            log.info("order paid", order=17)
        log.debug("below the level")
        try:
            raise LookupError("no such order")
        except LookupError:
            log.exception("failed")
    finally:
        structlog.reset_defaults()
    paid, failed = captured.events("log")
    assert (paid["level"], paid["message"], paid["spanId"]) == ("info", "order paid", span.id)
    assert {"tenant": "acme", "order": 17}.items() <= paid["attributes"].items()
    assert paid["attributes"]["code.function.name"] == "test_structlog"
    assert failed["attributes"]["exception.type"] == "LookupError"


def test_loguru(captured: Captured) -> None:
    """Delgan/loguru#1063: Invalid type dict for attribute 'extra' value"""
    loguru = pytest.importorskip("loguru")
    # A function for a format: a text would have loguru append the stack trace to the message.
    number = loguru.logger.add(ObservabilityHandler(), level="INFO", format=lambda _: "{message}")
    try:
        log = loguru.logger.bind(tenant="acme")
        with obswriter.span("checkout") as span:
            log.success("order {order} paid", order=17)
        log.debug("below the level")
        try:
            raise LookupError("no such order")
        except LookupError:
            log.exception("failed")
    finally:
        loguru.logger.remove(number)
    paid, failed = captured.events("log")
    assert (paid["level"], paid["message"], paid["spanId"]) == ("info", "order 17 paid", span.id)
    assert paid["attributes"]["extra"] == {"tenant": "acme", "order": 17}
    assert paid["attributes"]["obswriter.level"] == "SUCCESS"
    assert paid["attributes"]["code.function.name"] == "test_loguru"
    assert failed["message"] == "failed"
    assert failed["attributes"]["exception.type"] == "LookupError"


def test_uvicorns_own_configuration(captured: Captured) -> None:
    config = pytest.importorskip("uvicorn.config")
    log_config = copy.deepcopy(config.LOGGING_CONFIG)
    log_config["handlers"]["obswriter"] = {"class": "obswriter_logging.ObservabilityHandler"}
    for name in ("uvicorn", "uvicorn.access"):  # "uvicorn.error" passes its records on
        log_config["loggers"][name]["handlers"] = ["obswriter"]
    try:
        config.Config("shop:app", log_config=log_config)
        logging.getLogger("uvicorn.access").info(
            '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5000", "GET", "/orders/7", "1.1", 200
        )
        logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "Started"})
    finally:
        for name in log_config["loggers"]:
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
    access, error = captured.events("log")
    assert access["message"] == '127.0.0.1:5000 - "GET /orders/7 HTTP/1.1" 200'
    assert access["attributes"]["logger.name"] == "uvicorn.access"
    assert error["message"] == "Started"


DJANGO = """
import logging
import django
from django.conf import settings

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"obswriter": {"class": "obswriter_logging.ObservabilityHandler"}},
    "loggers": {"django.request": {"handlers": ["obswriter"]}},
}
settings.configure(LOGGING=LOGGING)
django.setup()
logging.getLogger("django.request").error("Internal Server Error: %s", "/", extra={"status": 500})
"""


def test_djangos_setting(tmp_path: Path) -> None:
    pytest.importorskip("django")
    outcome = run(DJANGO, tmp_path)
    assert outcome.status == 0, outcome.stderr
    [event] = stored_events(tmp_path, "log")
    assert (event["level"], event["message"]) == ("error", "Internal Server Error: /")
    assert event["attributes"]["status"] == 500
