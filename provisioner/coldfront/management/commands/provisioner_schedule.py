"""`provisioner_schedule`: let qcluster run the commands, in place of the timers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from provisioner.coldfront import schedules


class Command(BaseCommand):
    help = "Let qcluster run provisioner_sync each minute and provisioner_reconcile each hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", action="store_true", help="remove the schedules")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["remove"]:
            self.stdout.write(f"{schedules.end()} schedules removed")
            return
        fresh = schedules.begin()
        self.stdout.write(f"new schedules: {', '.join(fresh) or 'none'}")
        self.stdout.write("disable the systemd timers, and run qcluster as ColdFront's user")
