"""One object on its way through the engine: what is due, and what must be saved before a write.

Promises: plain values that the ledger makes and convergence takes, so that neither knows the other.
Leaves out: what happens to an object (`converge`), and saving anything (`keepsakes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.contract import ADOPTS, Claim, Key, Scalar, State
from provisioner.objects.applied import Applied
from provisioner.objects.states import Adoption
from provisioner.plain.values import value


@value(frozen=True, slots=True)
class Item:
    """One due object: its claims, and what was saved before it was closed.

    adoption: how it was taken over, if it existed before; identity: its identity when it was last
    as wanted, if its handler keeps one; applied: what claims have set on it, None if it was ours
    before that was recorded; awaited: steps that are not due yet claim it; begun: it may have been
    written; settled: it was as wanted, and is only looked at again.
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
    awaited: bool = False
    begun: bool = True
    settled: bool = False

    @property
    def open(self) -> bool:
        """Return True if a claim that is not suspended keeps it open."""
        return False in [claim.suspended for claim in self.claims]  # half the time of any()

    @property
    def takes_over(self) -> bool:
        """Return True if a claim on it comes from a request that says `adopt: true`."""
        return any(claim.want.get(ADOPTS) for claim in self.claims)

    @property
    def untouched(self) -> bool:
        """Return True if nobody claims it any more, and nothing was ever done with it.

        If it exists, it is what others made: a request that was cancelled before it did anything
        has taken over nothing.
        """
        return not (self.claims or self.awaited or self.begun or self.prior or self.adoption)

    @property
    def as_found(self) -> bool:
        """Return True if it differed when it was adopted, a claim keeps it open, and nobody has
        said that it may be changed."""
        return self.adoption == Adoption.DIFFERS and self.open and not self.takes_over

    @property
    def reopens(self) -> bool:
        """Return True if it may have differed when a suspension closed it, and no suspension is
        left.

        It opens as it was, whatever its claims want.
        """
        return self.as_found and self.prior is not None


@dataclass(frozen=True, slots=True)
class Former:
    """What must be durable before the first write.

    priors: the states of objects that are about to be closed or removed; applied: the settings that
    are about to be written, with their values before.
    """

    priors: Mapping[Key, State]
    applied: Mapping[Key, Applied]
