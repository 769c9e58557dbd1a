"""`provisioner_sync`: what waits is written, and what was answered is recorded."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront.answering import sync
from provisioner.coldfront.asking import outbox
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write what staging did not take yet, and read the service's receipts."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = []
        found = sync.Synced()
        try:
            found = sync.sync()
        except OSError as error:
            wrong.append(f"receipts cannot be read: {error}")
        written = 0
        try:
            # After the answers: of what was refused, who left is said anew.
            written = outbox.flush()
        except (ConfigError, OSError) as error:
            wrong.append(f"{len(outbox.waiting())} requests wait: staging takes nothing: {error}")
        self.stdout.write(
            f"{written} requests written, {found.answered} answers, {found.stands} changes for "
            f"users, {found.made_pending} Pending, {found.made_active} Active"
        )
        if wrong:
            raise CommandError("; ".join(wrong))
