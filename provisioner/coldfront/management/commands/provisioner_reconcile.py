"""`provisioner_reconcile`: all that should be, for the service to compare."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioner.coldfront import manifest, outbox
from provisioner.contract import ConfigError


class Command(BaseCommand):
    help = "Write the manifest of all that should be, and a reconcile request that names it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--print", action="store_true", help="print the manifest's lines, and write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = manifest.read()
        for subject, problems in sorted(found.problems.items()):
            for problem in problems:
                self.stderr.write(f"{subject}: {problem}")
        if options["print"]:
            sys.stdout.flush()
            self.stdout.write(found.body().decode(), ending="")
            return
        try:
            outbox.flush()
            row, name = manifest.send(found)
        except (ConfigError, OSError) as error:
            raise CommandError(f"staging takes nothing: {error}") from None
        self.stdout.write(
            f"{outbox.request_id(row.number)}: {len(found.lines)} subjects in {name}, "
            f"{len(found.problems)} with something to fill in"
        )
