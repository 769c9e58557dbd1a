"""`provisioner_schedule`: have qcluster do what the timers would."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from provisioner.coldfront import schedules


class Command(BaseCommand):
    help = "Have qcluster run provisioner_sync each minute and provisioner_reconcile each hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", action="store_true", help="have it run them no more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["remove"]:
            self.stdout.write(f"{schedules.end()} schedules removed")
            return
        fresh = schedules.begin()
        self.stdout.write(f"new schedules: {', '.join(fresh) or 'none'}")
        self.stdout.write("leave the timers off, and have qcluster run as ColdFront's user")
