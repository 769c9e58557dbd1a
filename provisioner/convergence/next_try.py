"""What happens to an object after a try: it has converged, is tried again, or is given up. Pure.

Promises: a backend that is away is not a failed try, and nothing is given up while the service only
observes. Leaves out: the breaker, which decides when a backend that is away is asked again, and
writing anything (`lanes`).
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.contract import Fault, NotReady, Permanent, Transient, Unavailable, Unknown
from provisioner.convergence.existing import Differs
from provisioner.objects.states import Adoption
from provisioner.plain.values import value

SPREAD = 0.2
"""The share by which a delay is made longer or shorter, so that not all come back at once."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lane keeps trying an object.

    first, most: seconds until an object is due again, doubling from one to the other; tries: how
    often the backend may refuse; days: how long an object may be not ready; batch: objects in one
    drain.
    """

    first: float = 2.0
    most: float = 900.0
    tries: int = 8
    days: float = 7.0
    batch: int = 2000

    @property
    def longest(self) -> float:
        """Return the most seconds for which anything is put off."""
        return self.most * (1 + SPREAD)


@value(frozen=True, slots=True)
class Tried:
    """What is known of an object after a try.

    attempts: earlier tries that its backend refused; waited: seconds since it began to wait;
    adoption: how it was taken over.
    """

    fault: Fault | None
    attempts: int
    waited: float
    adoption: Adoption | None = None
    observing: bool = False


@value(frozen=True, slots=True)
class Converged:
    """It was read back as wanted."""


@dataclass(frozen=True, slots=True)
class Away:
    """Its backend did not answer: it is due when that is asked again, and its wait starts over."""

    fault: Fault
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """It is due again. delay: seconds, before they are spread; attempts: tries so far."""

    fault: Fault
    attempts: int
    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is no longer scheduled. fault: the recorded reason."""

    fault: Fault
    attempts: int


NextTry = Converged | Away | Retry | GiveUp


def next_try(tried: Tried, patience: Patience) -> NextTry:
    """Return what happens to an object after a try."""
    attempts = tried.attempts
    match tried.fault:
        case None:
            return Converged()
        case Differs() as fault if tried.adoption == Adoption.NEW:
            return GiveUp(fault, attempts)  # the adoption ends here, and does not write it
        case Unavailable() as fault:
            return Away(fault, attempts)
        case fault if tried.observing:
            # Nobody can fix it yet, so the writer is not to blame.
            return Retry(fault, attempts, _slowly(tried, patience))
        case Transient() | Unknown() as fault if attempts + 1 >= patience.tries:
            text = f"{fault.message} (tried {attempts + 1} times)"
            return GiveUp(Permanent(text, advice=fault.advice), attempts + 1)
        case Transient() | Unknown() as fault:
            return Retry(fault, attempts + 1, min(patience.most, patience.first * 2**attempts))
        case NotReady() as fault if tried.waited > patience.days * 86400:
            text = f"{fault.message} (waited {patience.days:g} days)"
            return GiveUp(Permanent(text, advice=fault.advice), attempts)
        case NotReady() as fault:
            return Retry(fault, attempts, _slowly(tried, patience))
        case fault:
            return GiveUp(fault, attempts)


def _slowly(tried: Tried, patience: Patience) -> float:
    """Return the delay of an object that waits: half the time it has waited so far."""
    return min(patience.most, max(patience.first, tried.waited / 2))
