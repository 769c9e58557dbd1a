"""`provisioner_check`: say whether the service knows every resource that requests would name."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront import offered
from provisioner.coldfront.asking import options, snapshots
from provisioner.outcome import offer


class Command(BaseCommand):
    help = "List ColdFront's resources, and whether the service knows them; exit with 1 if not."

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            names = offer.read(options.staging())
        except (OSError, ValueError) as error:
            raise CommandError(
                f"cannot read which resources the service has: {error}; look whether `provisioner"
                " run` serves this spool, and whether this user may write to staging"
            ) from None
        checked = offered.check(snapshots.resources(), names)
        first, second = (
            max([len(getattr(one, key)) for one in checked] + [8]) for key in ("resource", "name")
        )
        for one in checked:
            remark = f": {one.remark}" if one.remark else ""
            line = f"{one.resource:{first}}  {one.name or '-':{second}}  {one.state}{remark}"
            style = self.style.ERROR if one.state == offered.UNKNOWN else str
            self.stdout.write(style(line))
        unknown = sum(one.state == offered.UNKNOWN for one in checked)
        if unknown:
            raise CommandError(
                f"the service does not know {unknown} of {len(checked)} resources, and refuses"
                " requests for their allocations"
            )
