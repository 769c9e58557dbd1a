"""The handler that a suite tries, and what it is tried with.

Leaves out: what must hold of it (`claiming`, `converging`, `closing`, `handler_contract`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import (
    Change,
    Fault,
    Handler,
    Key,
    State,
)
from provisioner.convergence.converge import Outcome
from provisioner.testing.fakes import (
    Interrupted,
    Ledger,
    Params,
    watched,
)


class Subject:
    """A handler, with parameters to try it with.

    A subclass names parameters, as class attributes or in `prepare`, and builds the handler. All
    that is named must be possible: the suite makes it so, changes it, closes it and opens it.
    """

    params: Params
    """A step's parameters, for one object or several."""

    other_params: Params | None = None
    """Other values for the same objects; None where they are there or not, and that is all."""

    more_params: Sequence[Params]
    """Parameters for objects of other names, at least two: a batch."""

    bad_params: Sequence[tuple[str, Params]]
    """Parameters that are refused, each with the field that is named then."""

    absent_params: Params | None = None
    """Parameters for objects that are not there; `params` themselves for a handler that writes."""

    names: Collection[str] = ("name",)
    """Parameters that are names, which a hostile request could put anything into."""

    late: Collection[str] = ()
    """Parameters that a route may take from an earlier step's output."""

    reads_only: bool = False
    """Whether the handler only looks: then `prepare` must make what the parameters speak of."""

    removes: bool = False
    """Whether what nobody claims is taken out, where others leave it, closed."""

    lists: bool = True
    """Whether `inventory` finds the objects."""

    varying: Collection[str] = ()
    """What of a state differs from one fresh backend to the next: serial numbers, paths."""

    secrets: Collection[str] = ()
    """Texts that nobody may ever read in a change, a state or a finding."""

    instance: str = "test"
    """The instance that the handler is built for."""

    def prepare(self, directory: Path) -> None:
        """Make a fresh backend; called before each test, and again in some of them.

        directory: an empty directory for whatever it keeps.
        """

    def handler(self) -> Handler:
        """Build the handler anew, as after a restart, for the backend made last."""
        raise NotImplementedError

    def away(self) -> Handler:
        """Build the handler for a backend that is not there."""
        raise NotImplementedError

    def disturb(self) -> None:
        """Change by hand something that `params` speak of, after they were made so."""
        raise NotImplementedError

    def rearrange(self) -> None:
        """Change by hand what no parameter speaks of and has to be given back when it opens again.

        Called after `params` were made so; does nothing where there is no such thing.
        """

    @pytest.fixture(autouse=True)
    def _prepared(self, tmp_path: Path) -> None:
        self._directory = tmp_path
        self._fresh("first")

    def _fresh(self, name: str) -> None:
        (self._directory / name).mkdir()
        self.prepare(self._directory / name)

    # In other words.

    @property
    def _other(self) -> Params:
        return self.params if self.other_params is None else self.other_params

    @property
    def _absent(self) -> Params:
        return self.params if self.absent_params is None else self.absent_params

    def _made(self) -> tuple[Handler, Ledger]:
        """Make what `params` speak of."""
        handler = self.handler()
        ledger = Ledger().claim(handler, self.params)
        converged(ledger.run(handler))
        return handler, ledger

    def _lived_in(self) -> tuple[Handler, Ledger, dict[Key, State]]:
        """Make what `params` speak of, and change what has to come back when it is not removed."""
        handler, ledger = self._made()
        if not self.removes:
            self.rearrange()
        return handler, ledger, self._states(ledger)

    def _states(self, ledger: Ledger) -> dict[Key, State]:
        seen = self.handler().observe(list(ledger.claims))
        return {key: state for key, state in seen.items() if not isinstance(state, Fault)}

    def _essence(self, state: State) -> dict[str, Any]:
        return {name: value for name, value in state.items() if name not in self.varying}

    def _killed(self, ledger: Ledger, survived: int) -> bool:
        """Converge, killed before the write after some; say whether there was such a write."""
        left = [survived]

        def count(_: Sequence[Change]) -> None:
            if not left[0]:
                raise Interrupted
            left[0] -= 1

        try:
            ledger.run(watched(self.handler(), count))
        except Interrupted:
            return True
        return False

    def _discreet(self, what: object) -> None:
        text = json.dumps(what, default=str)
        assert [secret for secret in self.secrets if secret in text] == []


def never(changes: Sequence[Change]) -> None:
    raise AssertionError(f"written again: {[change.text for change in changes]}")


def converged(outcomes: Mapping[Key, Outcome]) -> dict[Key, State]:
    """Give the states of what has converged, which must be all."""
    faults = {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}
    assert faults == {}
    return {key: one.state for key, one in outcomes.items() if one.state is not None}
