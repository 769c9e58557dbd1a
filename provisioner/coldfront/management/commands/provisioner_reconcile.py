"""`provisioner_reconcile`: send everything that ColdFront wants, for the service to compare."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioner.coldfront.answering import numbers
from provisioner.coldfront.asking import manifest, outbox, sending
from provisioner.coldfront.asking import options as options_of
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write the manifest of everything that ColdFront wants, and a reconcile request for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--print", action="store_true", help="print the manifest; write no file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["print"]:
            wanted = manifest.read()
            self._report(wanted)
            sys.stdout.flush()
            self.stdout.write(wanted.body().decode(), ending="")
            return
        try:
            numbers.look(options_of.receipts())
            sending.flush()
            sent = manifest.send()
        except (ConfigError, OSError) as error:
            raise CommandError(f"ColdFront cannot write to staging: {error}") from None
        self._report(sent.manifest)
        self.stdout.write(
            f"{outbox.request_id(sent.number)}: {sent.manifest.listed} subjects in {sent.name}, "
            f"{len(sent.manifest.problems)} with problems in ColdFront"
        )

    def _report(self, listed: manifest.Manifest) -> None:
        for subject, problems in sorted(listed.problems.items()):
            for problem in problems:
                self.stderr.write(f"{subject}: {problem}")
