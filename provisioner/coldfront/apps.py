"""The app as Django sees it."""

from __future__ import annotations

from django.apps import AppConfig


class ProvisionerConfig(AppConfig):
    """Add `provisioner.coldfront` to INSTALLED_APPS."""

    name = "provisioner.coldfront"
    label = "provisioner_coldfront"
    verbose_name = "Provisioning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen."""
        from provisioner.coldfront import signals

        signals.connect()
