"""The shop's addresses."""

from django.urls import path
from store import views

urlpatterns = [
    path("products/", views.list_products),
    path("products/<slug:slug>/", views.show_product),
    path("stock/", views.count_stock),
    path("checkout/", views.check_out),
    path("orders/<int:pk>/", views.show_order),
]
