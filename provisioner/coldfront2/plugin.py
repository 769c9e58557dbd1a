"""The plugin as ColdFront 2 sees it."""

from __future__ import annotations

from pathlib import Path

from coldfront.plugins import PluginConfig
from coldfront.plugins.registration import register_menu, register_template_extensions

import provisioner.coldfront

SHARED = Path(provisioner.coldfront.__path__[0], "templates")
"""Templates that the pages of both versions are made of."""


class ProvisionerConfig(PluginConfig):
    """Add `provisioner.coldfront2` to PLUGINS."""

    name = "provisioner.coldfront2"
    verbose_name = "Provisioning"
    description = "Asks the provisioning service for what ColdFront approves, and shows its answers"
    base_url = "provisioning"
    min_version = "2.0"
    max_version = "2.0.999"
    default_auto_field = "django.db.models.BigAutoField"
    django_apps = ["provisioner.coldfront2.tables"]

    def ready(self) -> None:
        """Connect the hooks, and register the jobs, the menu and what is added to pages."""
        super().ready()
        from django.conf import settings

        from provisioner.coldfront.asking import options
        from provisioner.coldfront2 import hooks, jobs, pages

        for engine in settings.TEMPLATES:
            engine["DIRS"] = [*engine.get("DIRS", ()), str(SHARED)]
        hooks.connect()
        jobs.register()
        if options.pages():
            register_menu(pages.MENU)
            register_template_extensions([pages.OnAllocation])
