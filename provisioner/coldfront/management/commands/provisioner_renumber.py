"""`provisioner_renumber`: continue the numbers above what the service knows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront.answering import numbers
from provisioner.coldfront.asking import options, outbox


class Command(BaseCommand):
    help = (
        "After ColdFront's database was restored, or the app installed again: let the numbers of"
        " requests continue above what the service knows, and send again. Not on a copy."
    )

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            first, waiting = numbers.renumber(options.receipts())
        except OSError as error:
            raise CommandError(f"ColdFront cannot read the receipts: {error}") from None
        self.stdout.write(
            f"the next requests come after {outbox.request_id(first)}; {waiting} requests that"
            " waited have new numbers. Now run: coldfront provisioner_reconcile"
        )
