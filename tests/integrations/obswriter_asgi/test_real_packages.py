"""With the middleware, applications that others wrote and published answer as without."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import call
from obswriter_testsupport.unchanged import EVERYTHING, Asked, get, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured

TEAS = ("sencha", "assam", "oolong")
SHARED = {"check_same_thread": False}
DATASETTE = {
    "/": 200,
    "/shop": 200,
    "/shop/tea": 200,
    "/shop/tea?_facet=name&_sort_desc=id": 200,
    "/shop/tea.json?_shape=array": 200,
    "/shop/tea.csv?_stream=1": 200,
    "/shop/tea/1": 200,
    "/shop/tea/9": 404,
    "/shop/nowhere": 404,
    "/shop.json?sql=select+count(*)+from+tea": 200,
    "/shop.json?sql=drop+table+tea": 400,
    "/-/versions.json": 200,
    "/-/static/app.css": 200,
    "/-/logout": 302,
}


def steady(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take the durations out that Datasette shows."""
    shown = rb"[\d.]+(?:e-\d+)?ms|(?<=query_ms\": )[\d.e-]+"
    return [{**each, "body": re.sub(shown, b"", each.get("body", b""))} for each in messages]


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the applications leave to the end of the process."""
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connect_and_note(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **kwargs))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect_and_note)
    yield
    for connection in connections:
        connection.close()


async def test_datasette(
    tmp_path: Path, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application without a framework that anybody knows: its own routing, its own responses."""
    app_module = pytest.importorskip("datasette.app")
    monkeypatch.setattr(
        "datasette.handle_exception.rich", None
    )  # it would draw every 404 at length
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table tea (id integer primary key, name text)")
        database.executemany("insert into tea (name) values (?)", [(tea,) for tea in TEAS])
    datasette = app_module.Datasette([str(tmp_path / "shop.db")], settings={"num_sql_threads": 0})
    await datasette.invoke_startup()
    app = datasette.app()
    observed = ObservabilityMiddleware(app, **EVERYTHING)
    for url, status in DATASETTE.items():
        path, _, query = url.partition("?")
        asked = {"query_string": query.encode(), "headers": [("host", "shop.example")]}
        plain = await call(app, path, **asked)
        assert (url, plain[0]["status"]) == (url, status)
        assert steady(await call(observed, path, **asked)) == steady(plain)
    assert len(captured.events("span", spanKind="server")) == len(DATASETTE)


def admin() -> Any:
    from sqladmin import Admin, ModelView
    from sqlalchemy import Integer, String, create_engine
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
    from sqlalchemy.pool import StaticPool
    from starlette.applications import Starlette

    class Base(DeclarativeBase):
        pass

    class Tea(Base):
        __tablename__ = "tea"
        id = mapped_column(Integer, primary_key=True)
        name = mapped_column(String)

    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=SHARED)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Tea(name=name) for name in TEAS)
        session.commit()
    app = Starlette()
    settings = {"column_list": [Tea.id, Tea.name], "get_export_name": lambda *_, **__: "tea.csv"}
    Admin(app, engine).add_view(type("TeaAdmin", (ModelView,), settings, model=Tea))
    return app


ADMIN: list[Asked] = [
    get("/admin"),
    get("/admin/"),
    get("/admin/tea/list"),
    get("/admin/tea/list?search=o&page=1"),
    get("/admin/tea/details/1"),
    get("/admin/tea/create"),
    ("POST", "/admin/tea/create", {"data": {"name": "pu-erh", "save": "Save"}}),
    ("POST", "/admin/tea/edit/2", {"data": {"name": "darjeeling", "save": "Save"}}),
    get("/admin/tea/export/csv"),
    ("DELETE", "/admin/tea/delete?pks=1", {}),
    get("/admin/tea/details/1"),
    get("/admin/statics/css/main.css"),
    get("/admin/none/list"),
]


def test_sqladmin(captured: Captured) -> None:
    """A whole application of Starlette, mounted in another, with forms, a database and files."""
    pytest.importorskip("sqladmin")
    pytest.importorskip("greenlet", reason="SQLAlchemy works with asyncio through greenlet")
    statuses = same(admin, ADMIN, captured)
    assert statuses == [307, 200, 200, 200, 200, 200, 302, 302, 200, 200, 404, 200, 404]
