"""The app with the outbox's tables, as Django sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from provisioner.coldfront.asking.portal import Portal


class TablesConfig(AppConfig):
    """The plugin brings it; nobody adds it to INSTALLED_APPS."""

    name = "provisioner.coldfront2.tables"
    label = "provisioner_coldfront"
    verbose_name = "Provisioning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Name the portal through which the outbox sees ColdFront 2."""
        from provisioner.coldfront2 import reading

        self.portal: Portal = reading
