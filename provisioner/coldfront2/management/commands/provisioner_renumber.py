"""`provisioner_renumber`: the same as in ColdFront 1."""

from __future__ import annotations

from provisioner.coldfront.management.commands.provisioner_renumber import Command

__all__ = ["Command"]
