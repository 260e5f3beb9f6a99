"""Chains, groups, chords, callbacks and their like, on a real worker: one trace each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord, group

import obswriter
from obswriter_testsupport.celery_workers import Shop, make_shop, working
from obswriter_testsupport.processes import end_process
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from celery import Celery

    from obswriter.testing import Captured

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="prefork needs fork"),
    pytest.mark.usefixtures("installed"),
]


@pytest.fixture
def shop(tmp_path: Path, captured: Captured) -> Shop:
    """Workers that keep results, as chords need, beside the messages."""
    shop = make_shop(tmp_path / "shop", captured.root)
    (shop.folder / "results").mkdir()
    shop.conf.update(
        result_backend=f"file://{shop.folder}/results",
        task_ignore_result=False,
    )
    return shop


@pytest.fixture
def publisher(shop: Shop) -> Iterator[Celery]:
    with shop.publisher() as app:
        yield app


def add(app: Celery, *numbers: int) -> Any:
    return app.signature("shop.add", numbers)


@pytest.mark.parametrize(
    ("start", "done", "runs"),
    [
        pytest.param(
            lambda app: chain(add(app, 1, 2), add(app, 4), add(app, 8), app=app).apply_async(),
            "7+8",
            {"run shop.add": ["run shop.add", "run shop.add"]},
            id="chain",
        ),
        pytest.param(
            lambda app: group([add(app, 1, 2), add(app, 3, 4)], app=app).apply_async(),
            "3+4",
            {"request": ["run shop.add", "run shop.add"]},
            id="group",
        ),
        pytest.param(
            lambda app: chord(
                [add(app, 1, 2), add(app, 3, 4)], app.signature("shop.total"), app=app
            ).apply_async(),
            "total-10",
            {"request": ["run shop.add", "run shop.add"]},
            id="chord",
        ),
        pytest.param(
            lambda app: add(app, 1, 2).apply_async(link=add(app, 10)),
            "3+10",
            {"run shop.add": ["run shop.add"]},
            id="callback",
        ),
        pytest.param(
            lambda app: app.signature("shop.refuses").apply_async(
                link_error=app.signature("shop.rescue")
            ),
            "rescue",
            {"run shop.refuses": ["run shop.rescue"]},
            id="errback",
        ),
        pytest.param(
            lambda app: app.signature("shop.delegates").apply_async(),
            "5+5",
            {"run shop.delegates": ["run shop.add"]},
            id="replace",
        ),
    ],
)
def test_what_a_task_leads_to_is_in_its_trace(
    captured: Captured,
    shop: Shop,
    publisher: Celery,
    start: Callable[[Celery], Any],
    done: str,
    runs: dict[str, list[str]],
) -> None:
    with working(shop, "-c", "2") as worker:
        with obswriter.span("request") as request:
            start(publisher)
        wait_until(lambda: shop.is_done(done), 60, message=shop.output)
        end_process(worker, 60)
    spans = {span["id"]: span for span in captured.events("span")}
    assert {span["traceId"] for span in spans.values()} == {request.trace_id}

    def above(span: dict[str, Any]) -> str:
        """The run, or the request, that had a run's message published."""
        published = spans[span["parentSpanId"]]
        assert published["name"].replace("publish", "run") == span["name"]
        name: str = spans[published["parentSpanId"]]["name"]
        return name

    found = [(above(s), s["name"]) for s in spans.values() if s["name"].startswith("run shop.")]
    for parent, names in runs.items():
        assert [name for name in names if (parent, name) in found] == names, found
    assert all(s["attributes"]["celery.state"] for s in spans.values() if "run " in s["name"])
