"""One object on its way through the engine: what is due, and what has to be kept before a write.

Promises: plain values, which the ledger makes and convergence takes; neither knows the other by
them. Leaves out: what becomes of an object (`converge`), and keeping anything (`keepsakes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.contract import Claim, Key, Scalar, State
from provisioner.objects.applied import Applied
from provisioner.objects.states import Adoption


@dataclass(frozen=True, slots=True)
class Item:
    """One due object: its claims, and what was saved before it was closed.

    adoption: how it was taken over, where it was there before; identity: what it was when it was
    last as wanted, where its handler keeps that; applied: what claims had set of it, None where it
    was ours before that was noted.
    """

    key: Key
    claims: tuple[Claim, ...]
    prior: State | None = None
    generation: int = 0
    attempts: int = 0
    waiting_since: float | None = None
    adoption: Adoption | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None

    @property
    def open(self) -> bool:
        """Return True if a claim that is not suspended keeps it open."""
        return any(not claim.suspended for claim in self.claims)


@dataclass(frozen=True, slots=True)
class Former:
    """What has to be durable before the first write.

    priors: what objects were that are going to be closed or removed; applied: what is going to be
    set of objects, with what it was before.
    """

    priors: Mapping[Key, State]
    applied: Mapping[Key, Applied]
