"""`provisioner_uninstall`: remove from ColdFront's database everything that the app added."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioner.coldfront.asking import sending
from provisioner.coldfront.models import LABEL


class Command(BaseCommand):
    help = "Remove the app's tables. What was provisioned stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--yes", action="store_true", help="remove them; without it, only list what waits"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = len(sending.waiting())
        if waiting:
            self.stdout.write(f"remove {waiting} requests that are not in staging yet")
        if not options["yes"]:
            raise CommandError("nothing was removed; to remove it, add --yes")
        call_command("migrate", LABEL, "zero", verbosity=0)
        ContentType.objects.filter(app_label=LABEL).delete()
        self.stdout.write("now remove provisioner.coldfront2 from PLUGINS, and restart ColdFront")
