"""Who asked, where that is wanted and known: nobody else is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obswriter_asgi import ObservabilityMiddleware
from obswriter_testsupport.asgi import answer, call

pytest.importorskip("starlette")

from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware

if TYPE_CHECKING:
    from obswriter.testing import Captured


class Known(SimpleUser):
    identity = 7  # type: ignore[assignment]


class Backend(AuthenticationBackend):
    def __init__(self, user: Any) -> None:
        self.user = user

    async def authenticate(self, conn: Any) -> Any:
        return self.user and (AuthCredentials(), self.user)


async def attributes_of(captured: Captured, user: Any, **options: Any) -> dict[str, Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    inner = AuthenticationMiddleware(app, backend=Backend(user))
    await call(ObservabilityMiddleware(inner, **options))
    found: dict[str, Any] = captured.one("span")["attributes"]
    return found


@pytest.mark.parametrize(
    ("user", "told"), [(Known("anna"), "7"), (SimpleUser("anna"), "anna"), (None, None)]
)
async def test_a_user_is_recorded_on_request(captured: Captured, user: Any, told: str) -> None:
    assert (await attributes_of(captured, user, user_id=True)).get("user.id") == told


async def test_by_default_nobody_is(captured: Captured) -> None:
    assert "user.id" not in await attributes_of(captured, Known("anna"))


async def test_without_authentication_there_is_no_user(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    await call(ObservabilityMiddleware(app, user_id=True))
    assert "user.id" not in captured.one("span")["attributes"]
