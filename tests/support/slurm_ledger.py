"""The claims of a test on Slurm, with short ways to write and to read them."""

from __future__ import annotations

from collections.abc import Mapping

from handlers.slurm.handler import Slurm
from provisioner.contract import Claim, Key, State
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item


class Ledger:
    """The claims of a test, and what was saved of objects."""

    def __init__(self) -> None:
        self.claims: dict[Key, tuple[Claim, ...]] = {}
        self.priors: dict[Key, State] = {}
        self.applied: dict[Key, Applied] = {}

    def save(self, former: Former) -> None:
        self.priors.update(former.priors)
        self.applied.update(former.applied)

    def run(self, handler: Slurm) -> dict[Key, Outcome]:
        items = [
            Item(key, claims, self.priors.get(key), applied=self.applied.get(key, {}))
            for key, claims in self.claims.items()
        ]
        outcomes = {one.item.key: one for one in converge(handler, items, self.save)}
        self.applied |= {k: o.applied for k, o in outcomes.items() if o.applied is not None}
        return outcomes

    def want(self, handler: Slurm, claimant: str, *params: Mapping[str, object]) -> None:
        for some in params:
            for key, want in handler.claims(some).items():
                others = [c for c in self.claims.get(key, ()) if c.claimant != claimant]
                self.claims[key] = (*others, Claim(claimant, want))

    def suspend(self, suspended: bool) -> None:
        self.claims = {
            key: tuple(Claim(c.claimant, c.want, suspended) for c in claims)
            for key, claims in self.claims.items()
        }


def faults(outcomes: Mapping[Key, Outcome]) -> dict[Key, str]:
    return {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}


def changes(outcomes: Mapping[Key, Outcome]) -> list[str]:
    return [text for one in outcomes.values() for text in one.changed]


def account(name: str, **more: object) -> Mapping[str, object]:
    return {"account": name, "description": f"Project {name}", **more}


def limits_of(outcomes: Mapping[Key, Outcome], key: Key, *names: str) -> list[object]:
    state = outcomes[key].state
    assert state is not None and isinstance(state["limits"], Mapping)
    return [state["limits"].get(name) for name in names]


def in_two(handler: Slurm, ledger: Ledger, name: str) -> tuple[str, str]:
    """Put a user into two accounts, the first of which is their default; return the accounts."""
    first, second = name + "a", name + "b"
    ledger.want(handler, "allocation:1", account(first), account(second))
    ledger.run(handler)
    for one in (first, second):
        ledger.want(handler, "allocation:1", {"account": one, "user": name})
        assert faults(ledger.run(handler)) == {}
    return first, second
