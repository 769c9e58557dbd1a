"""`provisioner_sync`: write the requests that wait, and record the service's answers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront.answering import sync
from provisioner.coldfront.asking import sending
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write the requests that are not in staging yet, and read the service's receipts."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = []
        synced = sync.Synced()
        try:
            synced = sync.sync()
        except OSError as error:
            wrong.append(f"ColdFront cannot read the receipts: {error}")
        written = 0
        try:
            # After the answers: a refused request leads to a new one, without those who left.
            written = sending.flush()
        except (ConfigError, OSError) as error:
            left = len(sending.waiting())
            wrong.append(
                f"{left} requests wait, because ColdFront cannot write to staging: {error}"
            )
        self.stdout.write(
            f"{written} requests written, {synced.answered} answers, {synced.stands} changes for "
            f"users, {synced.made_pending} Pending, {synced.made_active} Active"
        )
        if wrong:
            raise CommandError("; ".join(wrong))
