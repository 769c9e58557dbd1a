"""`provisioner_flush`: write the requests that wait to staging."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioner.coldfront.answering import numbers
from provisioner.coldfront.asking import options as options_of
from provisioner.coldfront.asking import sending
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write requests that are not in staging yet."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            numbers.look(options_of.receipts())
            count = sending.flush()
        except (ConfigError, OSError) as error:
            left = len(sending.waiting())
            raise CommandError(
                f"{left} requests wait, because ColdFront cannot write to staging: {error}"
            ) from None
        self.stdout.write(f"{count} requests written")
