"""Django REST framework's views: their routes, their names, their errors, their requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import include, path

pytest.importorskip("rest_framework")

if TYPE_CHECKING:
    from obswriter.testing import Captured


@pytest.fixture
def api(site: Any, settings: Any) -> Any:
    """A site with views of every kind, below a prefix."""
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    }
    from rest_framework import routers, serializers, viewsets
    from rest_framework.decorators import action, api_view
    from rest_framework.exceptions import NotFound
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Order(serializers.Serializer):  # type: ignore[misc, unused-ignore]
        count = serializers.IntegerField(min_value=1)

    class Orders(viewsets.ViewSet):  # type: ignore[misc, unused-ignore]
        def list(self, request: Any) -> Any:
            return Response([])

        def create(self, request: Any) -> Any:
            order = Order(data=request.data)
            order.is_valid(raise_exception=True)
            return Response(order.validated_data, status=201)

        def retrieve(self, request: Any, pk: str) -> Any:
            raise NotFound

        @action(detail=True, methods=["post"])
        def pay(self, request: Any, pk: str) -> Any:
            raise RuntimeError("out of paper")

    class Stock(APIView):  # type: ignore[misc, unused-ignore]
        def get(self, request: Any, sku: str) -> Any:
            return Response({"sku": sku})

    @api_view(["GET"])
    def health(request: Any) -> Any:
        return Response("fine")

    router = routers.SimpleRouter()
    router.register("orders", Orders, basename="order")
    site.has(
        path(
            "api/v1/",
            include(
                [
                    path("", include(router.urls)),
                    path("stock/<slug:sku>/", Stock.as_view()),
                    path("health/", health),
                ]
            ),
        )
    )
    return site


SEEN = [
    ("GET", "orders/", None, 200, "orders/", "Orders.list"),
    ("POST", "orders/", {"count": 2}, 201, "orders/", "Orders.create"),
    ("POST", "orders/", {"count": 0}, 400, "orders/", "Orders.create"),
    ("GET", "orders/7/", None, 404, "orders/<pk>/", "Orders.retrieve"),
    ("DELETE", "orders/7/", None, 405, "orders/<pk>/", "Orders.http_method_not_allowed"),
    ("GET", "stock/tea/", None, 200, "stock/<slug:sku>/", "Stock.get"),
    ("GET", "health/", None, 200, "health/", "health"),
]


@pytest.mark.parametrize(("method", "where", "data", "status", "route", "view"), SEEN)
def test_a_view_has_its_route_its_name_and_the_status_it_answered(
    api: Any,
    captured: Captured,
    method: str,
    where: str,
    data: Any,
    status: int,
    route: str,
    view: str,
) -> None:
    body = {"data": json.dumps(data), "content_type": "application/json"} if data else {}
    assert api.request(method, f"/api/v1/{where}", **body).status == status
    server = captured.one("span", name=f"{method} /api/v1/{route}")
    assert server["attributes"]["http.route"] == f"/api/v1/{route}"
    assert server["attributes"]["http.response.status_code"] == status
    assert server["status"] == "unset"  # also for what was the client's mistake
    assert "events" not in server
    inner = captured.one("span", parentSpanId=server["id"])
    assert inner["attributes"]["code.function.name"].endswith(view)


def test_an_exception_of_an_action_is_recorded_once(api: Any, captured: Captured) -> None:
    assert api.request("POST", "/api/v1/orders/7/pay/").status == 500
    server = captured.one("span", name="POST /api/v1/orders/<pk>/pay/")
    assert server["status"] == "error"
    assert server["attributes"]["error.type"] == "RuntimeError"
    recorded = [event for span in captured.events("span") for event in span.get("events", [])]
    assert [event["attributes"]["exception.message"] for event in recorded] == ["out of paper"]
