"""The addresses of the staff's pages, below `plugins/provisioning/`."""

from __future__ import annotations

from django.urls import path

from provisioner.coldfront2 import views

urlpatterns = [
    path("", views.listing, name="requests"),
    path("<int:number>/", views.detail, name="request"),
]
