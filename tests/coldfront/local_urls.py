"""A centre's addresses: what docs/coldfront.md says to add."""

from coldfront.config.urls import urlpatterns
from django.conf import settings
from django.urls import include, path

urlpatterns += [path(settings.BASE_PATH, include("provisioner.coldfront.urls"))]
