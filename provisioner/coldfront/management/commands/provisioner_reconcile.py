"""`provisioner_reconcile`: all that should be, for the service to compare."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioner.coldfront.asking import manifest, outbox
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write the manifest of all that should be, and a reconcile request that names it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--print", action="store_true", help="print the manifest's lines, and write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["print"]:
            found = manifest.read()
            self._tell(found)
            sys.stdout.flush()
            self.stdout.write(found.body().decode(), ending="")
            return
        try:
            outbox.flush()
            sent = manifest.send()
        except (ConfigError, OSError) as error:
            raise CommandError(f"staging takes nothing: {error}") from None
        self._tell(sent.manifest)
        self.stdout.write(
            f"{outbox.request_id(sent.number)}: {sent.manifest.listed} subjects in {sent.name}, "
            f"{len(sent.manifest.problems)} with something to fill in"
        )

    def _tell(self, found: manifest.Manifest) -> None:
        for subject, problems in sorted(found.problems.items()):
            for problem in problems:
                self.stderr.write(f"{subject}: {problem}")
