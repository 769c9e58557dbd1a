"""The contract of handlers as a pytest suite, for authors of handlers.

Promises: the engine can drive a handler that passes `HandlerContract`. Subclass it in a test
module, set its attributes, and pytest tests every promise on your handler. It needs pytest; for
readable failures call `pytest.register_assert_rewrite("provisioner.testing")` in conftest.py.
`site` makes what a handler is built with. Leaves out: what is specific to one handler.
"""

from __future__ import annotations

from dataclasses import asdict

from provisioner.contract import (
    Fault,
    Level,
    Scalar,
    split_key,
)
from provisioner.testing.claiming import Claiming
from provisioner.testing.closing import Closing
from provisioner.testing.converging import Converging
from provisioner.testing.fakes import (
    HOSTILE,
    FakeHost,
    Ledger,
    Params,
    site,
)

__all__ = ["HOSTILE", "FakeHost", "HandlerContract", "Ledger", "Params", "site"]


class HandlerContract(Claiming, Converging, Closing):
    """What every handler must satisfy.

    A subclass names parameters, as class attributes or in `prepare`, and builds the handler.
    Everything named must be possible: the suite makes it, changes it, closes it and opens it.
    """

    # The rest.

    def test_outputs_are_scalars_by_plain_names(self) -> None:
        handler, ledger = self._made()
        for state in self._states(ledger).values():
            outputs = handler.outputs(state)
            assert all(name.isidentifier() for name in outputs)
            assert all(isinstance(v, Scalar) for v in outputs.values())

    def test_the_inventory_lists_what_was_made(self) -> None:
        handler, ledger = self._made()
        listed = dict(handler.inventory())
        assert all(split_key(key)[0] == self.instance for key in listed)
        assert all(state["present"] for state in listed.values())
        assert (set(ledger.claims) <= set(listed)) is self.lists

    def test_the_doctor_finds_nothing_wrong_where_nothing_is(self) -> None:
        self._made()
        findings = self.handler().check()
        assert findings
        assert [finding for finding in findings if finding.level is Level.ERROR] == []
        self._discreet([asdict(finding) for finding in findings])

    def test_the_doctor_names_a_backend_that_is_away_and_never_raises(self) -> None:
        findings = self.away().check()
        assert [finding.message for finding in findings if finding.level is Level.ERROR]
        self._discreet([asdict(finding) for finding in findings])

    def test_a_backend_that_is_away_is_a_fault_and_no_state(self) -> None:
        handler = self.away()
        try:
            seen = handler.observe(list(handler.claims(self.params)))
        except Fault:
            return
        assert seen and all(isinstance(state, Fault) for state in seen.values())

    def test_no_secret_is_in_a_state_or_an_output(self) -> None:
        handler, ledger = self._made()
        states = self._states(ledger)
        self._discreet([states, [handler.outputs(state) for state in states.values()]])
