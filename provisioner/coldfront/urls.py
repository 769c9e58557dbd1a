"""The URLs of the staff's pages, for a centre's local_urls.py; none without the installed app."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.urls import path

urlpatterns: list[Any] = []

if apps.is_installed("provisioner.coldfront"):
    from provisioner.coldfront import views

    urlpatterns = [
        path("provisioning/", views.listing_page, name="provisioning"),
        path("provisioning/<int:number>/", views.detail, name="provisioning-request"),
        path("provisioning/<int:number>/<slug:verb>/", views.steer, name="provisioning-steer"),
    ]
