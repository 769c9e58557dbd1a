"""The outbox's tables: the same as in ColdFront 1."""

from __future__ import annotations

from provisioner.coldfront.models import Made, Request, Standing, Step, Sync

__all__ = ["Made", "Request", "Standing", "Step", "Sync"]
