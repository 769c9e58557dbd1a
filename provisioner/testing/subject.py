"""The handler that a suite tests, and its parameters.

Leaves out: what it must satisfy (`claiming`, `converging`, `closing`, `handler_contract`).
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
    """A handler, with parameters to test it with.

    A subclass names parameters, as class attributes or in `prepare`, and builds the handler.
    Everything named must be possible: the suite makes it, changes it, closes it and opens it.
    """

    params: Params
    """A step's parameters, for one object or several."""

    other_params: Params | None = None
    """Other values for the same objects; None if objects have no values and only exist or not."""

    more_params: Sequence[Params]
    """Parameters for objects with other names, at least two: a batch."""

    bad_params: Sequence[tuple[str, Params]]
    """Parameters that the handler must refuse, each with the field that it must name."""

    absent_params: Params | None = None
    """Parameters for objects that do not exist; `params` themselves for a handler that writes."""

    names: Collection[str] = ("name",)
    """Parameters that are names, into which a hostile request could put anything."""

    late: Collection[str] = ()
    """Parameters that a route may take from an earlier step's output."""

    reads_only: bool = False
    """True if the handler only reads: then `prepare` must make the objects that parameters name."""

    removes: bool = False
    """True if the handler removes what nobody claims; other handlers leave it, closed."""

    lists: bool = True
    """True if `inventory` finds the objects."""

    owns: bool = True
    """Whether the backend says whose an object is; else an object that exists is taken as it is."""

    varying: Collection[str] = ()
    """Keys of a state that differ from one fresh backend to the next: serial numbers, paths."""

    secrets: Collection[str] = ()
    """Secret texts that must never appear in a change, a state or a finding."""

    instance: str = "test"
    """The instance name that the handler is built with."""

    def prepare(self, directory: Path) -> None:
        """Make a fresh backend; called before each test, and again in some of them.

        directory: an empty directory for the backend's files.
        """

    def handler(self) -> Handler:
        """Return the handler, built again as after a restart, for the latest backend."""
        raise NotImplementedError

    def away(self) -> Handler:
        """Return the handler for a backend that does not exist."""
        raise NotImplementedError

    def disturb(self) -> None:
        """Change by hand something that `params` name, after the suite has made it."""
        raise NotImplementedError

    def rearrange(self) -> None:
        """Change by hand something that no parameter names and that must return when the object
        opens again.

        Called after the suite has made `params`; does nothing if there is no such thing.
        """

    def disown(self) -> None:
        """Have objects of `params` be somebody else's, as if a person had made them by hand.

        Called after `params` were made so; not called unless the handler `owns`.
        """
        raise NotImplementedError

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
        """Make what `params` name."""
        handler = self.handler()
        ledger = Ledger().claim(handler, self.params)
        converged(ledger.run(handler))
        return handler, ledger

    def _lived_in(self) -> tuple[Handler, Ledger, dict[Key, State]]:
        """Make what `params` name, and change by hand what must return unless it is removed."""
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
        """Converge, killed before the write after `survived` ones; return True if there was such a
        write."""
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
    """Return the states of all outcomes, which must all have converged."""
    faults = {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}
    assert faults == {}
    return {key: one.state for key, one in outcomes.items() if one.state is not None}
