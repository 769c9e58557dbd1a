"""The app as Django sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from provisioner.coldfront.asking.portal import Portal

OVERRIDES = Path(__file__).with_name("overrides")
"""Templates that add to ColdFront's own of the same name."""


class ProvisionerConfig(AppConfig):
    """Add `provisioner.coldfront` to INSTALLED_APPS."""

    name = "provisioner.coldfront"
    label = "provisioner_coldfront"
    verbose_name = "Provisioning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect to signals and actions, and put OVERRIDES before ColdFront's own templates.

        The app does this itself. A line in a centre's settings would stay after the app is removed,
        and would then break every page.
        """
        from django.conf import settings

        from provisioner.coldfront import actions, reading, signals

        self.portal: Portal = reading
        signals.connect()
        actions.connect()
        for engine in settings.TEMPLATES:
            if engine["BACKEND"] == "django.template.backends.django.DjangoTemplates":
                engine["DIRS"] = [str(OVERRIDES), *engine.get("DIRS", ())]
