"""Who asked, where that is wanted and somebody looked: to find it out would be a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse
from django.urls import path
from django.utils.functional import SimpleLazyObject

if TYPE_CHECKING:
    from obswriter.testing import Captured

OURS = "obswriter_django.ObservabilityMiddleware"


class User:
    pk = 7


class Anonymous:
    pk = None


def authentication(get_response: Any) -> Any:
    """Do as ``AuthenticationMiddleware`` does, without a database."""

    def get_user(request: Any) -> Any:
        request._cached_user = Anonymous() if "anonymous" in request.GET else User()
        return request._cached_user

    def middleware(request: Any) -> Any:
        request.user = SimpleLazyObject(lambda: get_user(request))
        return get_response(request)

    return middleware


def looks(request: Any) -> Any:
    return HttpResponse(str(request.user.pk))


def looks_away(request: Any) -> Any:
    return HttpResponse()


def logs_in(request: Any) -> Any:
    request.user = User()
    return HttpResponse()


@pytest.fixture
def shop(site: Any) -> Any:
    site.settings.MIDDLEWARE = [OURS, f"{__name__}.authentication"]
    site.settings.OBSWRITER = {"USER_ID": True}
    site.has(path("looks/", looks), path("away/", looks_away), path("login/", logs_in))
    return site


@pytest.mark.parametrize(
    ("url", "told"),
    [("/looks/", "7"), ("/login/", "7"), ("/away/", None), ("/looks/?anonymous=1", None)],
)
def test_a_user_is_recorded_on_request(
    shop: Any, captured: Captured, url: str, told: str | None
) -> None:
    assert shop.get(url).status == 200
    assert captured.one("span", spanKind="server")["attributes"].get("user.id") == told


def test_by_default_nobody_is(shop: Any, captured: Captured) -> None:
    shop.settings.OBSWRITER = {}
    shop.get("/looks/")
    assert "user.id" not in captured.one("span", spanKind="server")["attributes"]
