"""`provisioner_uninstall`: remove from ColdFront's database everything that the app added."""

from __future__ import annotations

from typing import Any

from coldfront.core.allocation.models import AllocationAttribute, AllocationUserStatusChoice
from coldfront.core.project.models import ProjectAttribute
from coldfront.core.resource.models import ResourceAttribute
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioner.coldfront import schedules, statuses
from provisioner.coldfront.asking import sending
from provisioner.coldfront.models import Made

_VALUES = {
    "allocation.AllocationAttributeType": (AllocationAttribute, "allocation_attribute_type"),
    "resource.ResourceAttributeType": (ResourceAttribute, "resource_attribute_type"),
    "project.ProjectAttributeType": (ProjectAttribute, "proj_attr_type"),
}


class Command(BaseCommand):
    help = (
        "Remove the app's tables and schedules, its attribute types with their values, and its"
        " user status."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--yes", action="store_true", help="remove them; without it, only list them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for made in Made.objects.filter(model__in=_VALUES):
            model, of = _VALUES[made.model]
            count = model.objects.filter(**{of: made.row}).count()
            if count:
                self.stdout.write(f"remove {count} values of {made.model} {made.row}")
        waiting = len(sending.waiting())
        if waiting:
            self.stdout.write(f"remove {waiting} requests that are not in staging yet")
        if not options["yes"]:
            raise CommandError("nothing was removed; to remove it, add --yes")
        schedules.end()
        self.stdout.write(f"{statuses.unpend()} users are Active again")
        added = Made.objects.filter(model="allocation.AllocationUserStatusChoice")
        AllocationUserStatusChoice.objects.filter(
            pk__in=list(added.values_list("row", flat=True))
        ).delete()
        Made.objects.exclude(model__in=_VALUES).delete()
        call_command("migrate", "provisioner_coldfront", "zero", verbosity=0)
        ContentType.objects.filter(app_label="provisioner_coldfront").delete()
        self.stdout.write(
            "now remove provisioner.coldfront from INSTALLED_APPS, and restart ColdFront"
        )
