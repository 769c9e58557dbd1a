"""`provisioner_reconcile`: the same as in ColdFront 1."""

from __future__ import annotations

from provisioner.coldfront.management.commands.provisioner_reconcile import Command

__all__ = ["Command"]
