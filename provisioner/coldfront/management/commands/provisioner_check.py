"""`provisioner_check`: say whether the service knows every resource that requests would name, and
whether it has heard this ColdFront's requests."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront import offered
from provisioner.coldfront.answering import numbers
from provisioner.coldfront.asking import options, outbox, sending
from provisioner.coldfront.asking.portal import portal
from provisioner.outcome import offer

TESTED = "1.1.10"
"""The ColdFront on which every test of this app passed."""


class Command(BaseCommand):
    help = (
        "List ColdFront's resources, and whether the service knows them; say whether it has heard"
        " ColdFront's requests; exit with 1 if not."
    )

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            names = offer.read(options.staging())
        except (OSError, ValueError) as error:
            raise CommandError(
                f"cannot read which resources the service has: {error}; look whether `provisioner"
                " run` serves this spool, and whether this user may write to staging"
            ) from None
        checked = offered.check(portal().resources(), names, portal().where_named())
        first, second = (
            max([len(getattr(one, key)) for one in checked] + [8]) for key in ("resource", "name")
        )
        for one in checked:
            remark = f": {one.remark}" if one.remark else ""
            line = f"{one.resource:{first}}  {one.name or '-':{second}}  {one.state}{remark}"
            style = self.style.ERROR if one.state == offered.UNKNOWN else str
            self.stdout.write(style(line))
        self._release()
        for remark in portal().remarks():
            self.stdout.write(self.style.WARNING(remark))
        unknown = sum(one.state == offered.UNKNOWN for one in checked)
        wrong = self._unheard()
        if unknown:
            wrong.append(
                f"the service does not know {unknown} of {len(checked)} resources, and refuses"
                " requests for their allocations"
            )
        if wrong:
            raise CommandError("; ".join(wrong))

    def _release(self) -> None:
        """Say whether this ColdFront 1 was tested."""
        release = metadata.version("coldfront")
        if not release.startswith("1."):
            return
        if release == TESTED:
            self.stdout.write(f"ColdFront {release}: tested")
            return
        said = f"ColdFront {release}: not tested, unlike {TESTED}; read docs/versions.md"
        self.stdout.write(self.style.WARNING(said))

    def _unheard(self) -> list[str]:
        """List the requests that the service has not heard; return what is wrong with them all."""
        try:
            behind = numbers.look(options.receipts())
        except OSError as error:
            return [f"ColdFront cannot read the receipts: {error}"]
        rows = numbers.unheard()
        for row in rows:
            line = (
                f"{outbox.request_id(row.number)}  {row.subject or row.key}  not heard: {row.error}"
            )
            self.stdout.write(self.style.ERROR(line))
        wrong = [sending.why_behind(behind)] if behind else []
        if rows:
            wrong.append(
                f"the service has not heard {len(rows)} requests. The next reconcile asks again; if"
                " that does not help, another ColdFront has the same PROVISIONER_INSTANCE"
            )
        return wrong
