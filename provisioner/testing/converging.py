"""What a handler that reads, plans and writes must satisfy: it reaches the want, and stays there.

Leaves out: closing and opening (`closing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict

from provisioner.contract import (
    Change,
    Conflict,
    Fault,
    NotReady,
    Permanent,
)
from provisioner.convergence.converge import dry_run
from provisioner.testing.fakes import (
    Ledger,
    stored,
    watched,
)
from provisioner.testing.subject import Subject, converged, never


class Converging(Subject):
    """The plan follows from what was observed, and after its writes the state is as wanted."""

    # Observing and planning.

    def test_what_is_absent_is_seen_so(self) -> None:
        absent = list(self.handler().claims(self._absent))
        seen = self.handler().observe(absent)
        assert {key: seen[key]["present"] for key in absent} == dict.fromkeys(absent, False)  # type: ignore[index]

    def test_what_is_absent_is_made_or_waited_for(self) -> None:
        handler, ledger = self.handler(), Ledger()
        for _, changes, outcome in dry_run(handler, ledger.claim(handler, self._absent).items):
            if self.reads_only:
                assert isinstance(outcome.fault, NotReady)
            else:
                assert changes or isinstance(outcome.fault, NotReady)

    def test_every_key_gets_an_answer_that_stays_the_same(self) -> None:
        handler, _ = self._made()
        keys = [
            key for params in (self.params, *self.more_params) for key in handler.claims(params)
        ]
        keys += [key for key in handler.claims(self._absent) if key not in keys]
        seen = handler.observe(keys)
        assert set(seen) == set(keys)
        for state in seen.values():
            assert not isinstance(state, Fault), state
            assert isinstance(stored(state)["present"], bool)
        assert self.handler().observe(keys[::-1]) == seen

    def test_planning_writes_nothing(self) -> None:
        handler = self.handler()
        ledger = Ledger().claim(handler, self.params)
        before = handler.observe(list(ledger.claims))
        first = [changes for _, changes, _ in dry_run(handler, ledger.items)]
        assert [changes for _, changes, _ in dry_run(handler, ledger.items)] == first
        assert handler.observe(list(ledger.claims)) == before

    def test_planning_leaves_want_and_state_as_they_were(self) -> None:
        handler = self.handler()
        for key, claims in Ledger().claim(handler, self.params).claims.items():
            want, state = handler.merge(key, claims, None), handler.observe([key])[key]
            assert not isinstance(state, Fault)
            given = deepcopy((want, state))
            handler.plan(key, want, state)
            assert (want, state) == given

    def test_changes_tell_what_they_do_and_no_secret(self) -> None:
        handler = self.handler()
        seen: list[Change] = []
        handler = watched(handler, seen.extend)
        ledger = Ledger().claim(handler, self.params)
        converged(ledger.run(handler))
        converged(ledger.claim(handler, self._other).run(handler))
        ledger.suspend()
        converged(ledger.run(handler))
        assert bool(seen) is not self.reads_only
        for change in seen:
            assert change.key in ledger.claims
            assert change.verb and change.verb == change.verb.strip().lower(), change
            assert change.text and change.text.isprintable(), change
            assert stored(change.data) is not None
            self._discreet(asdict(change))

    # Owning.

    def test_what_is_not_ours_and_differs_is_a_conflict_and_nothing_is_written(self) -> None:
        handler, ledger = self._made()
        strange = Ledger().claim(handler, self._other)
        if not self.owns:
            ours = dry_run(handler, ledger.claim(handler, self._other).items)
            theirs = dry_run(handler, strange.items)
            assert [changes for _, changes, _ in theirs] == [changes for _, changes, _ in ours]
            return
        self.disown()
        before = self._states(ledger)
        outcomes = strange.run(watched(self.handler(), never))
        assert {type(outcome.fault) for outcome in outcomes.values()} == {Conflict}
        assert self._states(ledger) == before

    # Converging.

    def test_what_was_made_is_so_and_a_second_run_writes_nothing(self) -> None:
        handler, ledger = self._made()
        assert [changes for _, changes, _ in dry_run(handler, ledger.items) if changes] == []
        again = ledger.run(watched(self.handler(), never))
        assert converged(again) == self._states(ledger)

    def test_other_values_are_made_so_and_can_be_taken_back(self) -> None:
        handler, ledger = self._made()
        before = self._states(ledger)
        outcomes = ledger.claim(handler, self._other).run(handler)
        converged(outcomes)
        differs = self.other_params is not None and not self.reads_only
        assert any(outcome.changed for outcome in outcomes.values()) is differs
        converged(ledger.claim(handler, self.params).run(self.handler()))
        assert self._states(ledger) == before

    def test_what_was_changed_by_hand_is_seen_and_mended(self) -> None:
        handler, ledger = self._made()
        before = self._states(ledger)
        self.disturb()
        planned = dry_run(handler, ledger.items)
        outcomes = ledger.run(handler)
        if self.reads_only:
            assert all(one.fault is not None for one in outcomes.values())
        else:
            assert any(changes for _, changes, _ in planned)
            converged(outcomes)
            assert self._states(ledger) == before

    def test_a_batch_is_made_in_one_run(self) -> None:
        handler = self.handler()
        converged(Ledger().claim(handler, self.params, *self.more_params).run(handler))

    def test_a_poison_item_fails_alone(self) -> None:
        ledger, handler = Ledger(), self.handler()
        poison = set(handler.claims(self._absent))

        def refused(changes: Sequence[Change]) -> None:
            if any(change.key in poison for change in changes):
                raise Permanent("the poison item is among them")

        ledger.claim(handler, *self.more_params, self._absent)
        outcomes = ledger.run(watched(handler, refused))
        assert {key for key, one in outcomes.items() if one.fault is not None} == poison

    def test_killed_before_any_write_it_goes_on_to_the_same_state(self) -> None:
        _, ledger = self._made()
        expected = [self._essence(state) for state in self._states(ledger).values()]
        for survived in range(100):
            self._fresh(f"killed-{survived}")
            ledger = Ledger().claim(self.handler(), self.params)
            killed = self._killed(ledger, survived)
            converged(ledger.run(self.handler()))
            states = self._states(ledger).values()
            assert [self._essence(state) for state in states] == expected
            if not killed:
                return
        raise AssertionError("one step writes a hundred times")
