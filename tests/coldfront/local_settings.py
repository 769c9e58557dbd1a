"""A centre's settings: what docs/coldfront.md says to add, and what makes tests quick."""

import os

from coldfront.config.base import INSTALLED_APPS

INSTALLED_APPS += ["provisioner.coldfront"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# As a centre has it that runs qcluster without Redis.
Q_CLUSTER = {"name": "coldfront", "orm": "default", "workers": 1, "timeout": 60, "retry": 120}
PROVISIONER_STAGING = os.environ.get("PROVISIONER_STAGING", "/nonexistent/staging")
