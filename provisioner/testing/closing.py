"""What a handler that closes and opens must satisfy: everything returns as it was.

Leaves out: how the engine keeps what was saved.
"""

from __future__ import annotations

from provisioner.contract.abilities import Reopens, able
from provisioner.objects.states import Adoption
from provisioner.testing.fakes import (
    Ledger,
    watched,
)
from provisioner.testing.subject import Subject, converged, never


class Closing(Subject):
    """A suspended or withdrawn object returns as it was, wherever the service is killed."""

    # Closing and opening.

    def test_what_is_resumed_is_as_it_was(self) -> None:
        handler, ledger = self._made()
        self.rearrange()
        before = self._states(ledger)
        ledger.suspend()
        converged(ledger.run(handler))
        closed = self._states(ledger)
        converged(ledger.run(watched(self.handler(), never)))
        assert self._states(ledger) == closed
        ledger.suspend(False)
        converged(ledger.run(self.handler()))
        assert self._states(ledger) == before

    def test_killed_while_closing_it_still_opens_as_it_was(self) -> None:
        for survived in range(100):
            self._fresh(f"closing-{survived}")
            handler, ledger = self._made()
            self.rearrange()
            before = self._states(ledger)
            ledger.suspend()
            killed = self._killed(ledger, survived)
            converged(ledger.run(handler))
            ledger.suspend(False)
            converged(ledger.run(handler))
            assert self._states(ledger) == before
            if not killed:
                return
        raise AssertionError("one suspension writes a hundred times")

    def test_what_was_adopted_and_differs_opens_as_it_was(self) -> None:
        handler, ledger = self._made()
        if not able(self.handler(), Reopens):
            return  # the engine leaves it closed, and says so
        self.rearrange()
        before = self._states(ledger)
        ledger.claim(handler, self._other).adoption = Adoption.DIFFERS
        ledger.suspend()
        converged(ledger.run(handler))
        ledger.suspend(False)
        converged(ledger.run(self.handler()))
        assert self._states(ledger) == before

    def test_what_is_suspended_before_it_was_made_is_not_made(self) -> None:
        ledger = Ledger().claim(self.handler(), self._absent)
        ledger.suspend()
        outcomes = ledger.run(watched(self.handler(), never))
        assert [state["present"] for state in converged(outcomes).values()] == [False] * len(
            ledger.claims
        )

    def test_what_nobody_claims_is_left_or_taken_out_as_the_handler_says(self) -> None:
        handler, ledger = self._made()
        ledger.withdraw()
        left = converged(ledger.run(handler)).values()
        assert {state["present"] for state in left} == {not self.removes}
        converged(ledger.run(watched(self.handler(), never)))

    def test_what_is_withdrawn_and_claimed_again_is_as_it_was(self) -> None:
        handler, ledger, before = self._lived_in()
        ledger.withdraw()
        converged(ledger.run(handler))
        converged(ledger.claim(handler, self.params).run(self.handler()))
        assert self._states(ledger) == before

    def test_what_is_withdrawn_and_claimed_again_while_suspended_opens_as_it_was(self) -> None:
        handler, ledger, before = self._lived_in()
        ledger.withdraw()
        converged(ledger.run(handler))
        ledger.claim(handler, self.params).suspend()
        converged(ledger.run(handler))
        ledger.suspend(False)
        converged(ledger.run(self.handler()))
        assert self._states(ledger) == before

    def test_killed_while_withdrawing_it_can_still_be_claimed_as_it_was(self) -> None:
        for survived in range(100):
            self._fresh(f"withdrawing-{survived}")
            handler, ledger, before = self._lived_in()
            ledger.withdraw()
            killed = self._killed(ledger, survived)
            converged(ledger.claim(handler, self.params).run(handler))
            assert self._states(ledger) == before
            if not killed:
                return
        raise AssertionError("withdrawing writes a hundred times")
