"""The app's commands as system jobs of ColdFront 2's own worker, in place of timers."""

from __future__ import annotations

from typing import Any

from coldfront.core.jobs import JobRunner, system_job
from django.core.management import call_command


class SyncJob(JobRunner):
    """Writes what waits, reads the answers, and activates what is done."""

    class Meta:
        name = "provisioner.coldfront2.jobs.SyncJob"

    def run(self, *_args: Any, **_kwargs: Any) -> None:
        """Run `provisioner_sync`."""
        call_command("provisioner_sync")


class ReconcileJob(JobRunner):
    """Sends everything that ColdFront wants."""

    class Meta:
        name = "provisioner.coldfront2.jobs.ReconcileJob"

    def run(self, *_args: Any, **_kwargs: Any) -> None:
        """Run `provisioner_reconcile`."""
        call_command("provisioner_reconcile")


def register() -> None:
    """Let `coldfront taskworker` run the sync each minute, and the reconcile each hour."""
    system_job(interval=1)(SyncJob)
    system_job(interval=60)(ReconcileJob)
