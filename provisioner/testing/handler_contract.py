"""The contract of handlers as a pytest suite, for whoever writes one.

Promises: the engine can drive a handler that passes `HandlerContract`. Subclass it in a test
module, say what it asks for, and pytest tries every promise on your handler. It needs pytest; for
readable failures say `pytest.register_assert_rewrite("provisioner.testing")` in conftest.py.
`site` makes what a handler is built with. Leaves out: what is special to a handler.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Handler,
    InvalidRequest,
    Key,
    KnownAfter,
    Level,
    NotReady,
    Permanent,
    Scalar,
    State,
    make_key,
    split_key,
)
from provisioner.convergence.converge import Outcome, dry_run
from provisioner.testing.fakes import (
    HOSTILE,
    FakeHost,
    Interrupted,
    Ledger,
    Params,
    site,
    stored,
    watched,
)

__all__ = ["HOSTILE", "FakeHost", "HandlerContract", "Ledger", "Params", "site"]


class HandlerContract:
    """What holds of every handler.

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

    # Claims.

    def test_keys_are_well_formed_and_begin_with_the_instance(self) -> None:
        handler = self.handler()
        for params in (self.params, self._other, *self.more_params):
            for key in handler.claims(params):
                assert make_key(*split_key(key)) == key
                assert split_key(key)[0] == self.instance
                assert len(split_key(key)) > 2, f"{key} is not INSTANCE/KIND/NAME"

    def test_other_values_speak_of_the_same_objects_and_other_names_of_others(self) -> None:
        handler = self.handler()
        keys = [set(handler.claims(params)) for params in (self.params, *self.more_params)]
        assert set(handler.claims(self._other)) == keys[0]
        assert len(keys) > 2, "`more_params` must name two objects or more"
        assert sum(map(len, keys)) == len(set().union(*keys))

    def test_claims_are_pure_and_need_no_backend(self) -> None:
        handler, params = self.handler(), deepcopy(dict(self.params))
        first = handler.claims(params)
        assert params == dict(self.params)
        assert handler.claims(params) == self.handler().claims(params) == first
        assert set(self.away().claims(params)) == set(first)

    def test_wants_are_json(self) -> None:
        for want in self.handler().claims(self.params).values():
            assert stored(want) == stored(stored(want))

    def test_bad_parameters_are_refused_naming_the_field(self) -> None:
        assert self.bad_params, "`bad_params` must name some"
        for name, params in self.bad_params:
            with pytest.raises(InvalidRequest) as raised:
                self.handler().claims(params)
            assert raised.value.field == name, params

    def test_hostile_names_are_refused_naming_the_field(self) -> None:
        for name in self.names:
            for hostile in HOSTILE:
                with pytest.raises(InvalidRequest) as raised:
                    self.handler().claims({**self.params, name: hostile})
                assert raised.value.field == name, hostile

    def test_a_value_that_is_known_later_changes_no_key(self) -> None:
        handler = self.handler()
        keys = set(handler.claims(self.params))
        late = {name: KnownAfter("earlier") for name in self.late}
        assert set(handler.claims({**self.params, **late})) == keys
        for name, value in late.items():
            assert set(handler.claims({**self.params, name: value})) == keys

    # Merging.

    def test_the_order_of_claims_says_nothing(self) -> None:
        handler = self.handler()
        for key, claims in self._both(handler).items():
            assert _merged(handler, key, claims) == _merged(handler, key, claims[::-1])

    def test_a_second_claim_of_the_same_adds_nothing(self) -> None:
        handler = self.handler()
        for key, (one, *_) in self._both(handler).items():
            again = replace(one, claimant="allocation:99")
            assert handler.merge(key, [one, again], None) == handler.merge(key, [one], None)

    def test_no_claim_and_only_suspended_claims_make_a_want_too(self) -> None:
        handler = self.handler()
        for key, (one, *_) in self._both(handler).items():
            for claims in ([], [replace(one, suspended=True)]):
                assert stored(handler.merge(key, claims, None)) is not None

    def test_one_live_claim_beside_a_suspended_one_keeps_an_object_open(self) -> None:
        handler = self.handler()
        for key, (one, other) in self._both(handler).items():
            both = handler.merge(key, [one, replace(other, suspended=True)], None)
            assert both == handler.merge(key, [one], None)

    def _both(self, handler: Handler) -> dict[Key, tuple[Claim, Claim]]:
        one, other = handler.claims(self.params), handler.claims(self._other)
        return {
            key: (Claim("user:jdoe", stored(want)), Claim("allocation:42", stored(other[key])))
            for key, want in one.items()
        }

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
        _converged(ledger.run(handler))
        _converged(ledger.claim(handler, self._other).run(handler))
        ledger.suspend()
        _converged(ledger.run(handler))
        assert bool(seen) is not self.reads_only
        for change in seen:
            assert change.key in ledger.claims
            assert change.verb and change.verb == change.verb.strip().lower(), change
            assert change.text and change.text.isprintable(), change
            assert stored(change.data) is not None
            self._discreet(asdict(change))

    # Converging.

    def test_what_was_made_is_so_and_a_second_run_writes_nothing(self) -> None:
        handler, ledger = self._made()
        assert [changes for _, changes, _ in dry_run(handler, ledger.items) if changes] == []
        again = ledger.run(watched(self.handler(), _never))
        assert _converged(again) == self._states(ledger)

    def test_other_values_are_made_so_and_can_be_taken_back(self) -> None:
        handler, ledger = self._made()
        before = self._states(ledger)
        outcomes = ledger.claim(handler, self._other).run(handler)
        _converged(outcomes)
        differs = self.other_params is not None and not self.reads_only
        assert any(outcome.changed for outcome in outcomes.values()) is differs
        _converged(ledger.claim(handler, self.params).run(self.handler()))
        assert self._states(ledger) == before

    def test_what_was_changed_by_hand_is_seen_and_mended(self) -> None:
        handler, ledger = self._made()
        before = self._states(ledger)
        self.disturb()
        found = dry_run(handler, ledger.items)
        outcomes = ledger.run(handler)
        if self.reads_only:
            assert all(one.fault is not None for one in outcomes.values())
        else:
            assert any(changes for _, changes, _ in found)
            _converged(outcomes)
            assert self._states(ledger) == before

    def test_a_batch_is_made_in_one_run(self) -> None:
        handler = self.handler()
        _converged(Ledger().claim(handler, self.params, *self.more_params).run(handler))

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
            _converged(ledger.run(self.handler()))
            states = self._states(ledger).values()
            assert [self._essence(state) for state in states] == expected
            if not killed:
                return
        raise AssertionError("one step writes a hundred times")

    # Closing and opening.

    def test_what_is_resumed_is_as_it_was(self) -> None:
        handler, ledger = self._made()
        self.rearrange()
        before = self._states(ledger)
        ledger.suspend()
        _converged(ledger.run(handler))
        closed = self._states(ledger)
        _converged(ledger.run(watched(self.handler(), _never)))
        assert self._states(ledger) == closed
        ledger.suspend(False)
        _converged(ledger.run(self.handler()))
        assert self._states(ledger) == before

    def test_killed_while_closing_it_still_opens_as_it_was(self) -> None:
        for survived in range(100):
            self._fresh(f"closing-{survived}")
            handler, ledger = self._made()
            self.rearrange()
            before = self._states(ledger)
            ledger.suspend()
            killed = self._killed(ledger, survived)
            _converged(ledger.run(handler))
            ledger.suspend(False)
            _converged(ledger.run(handler))
            assert self._states(ledger) == before
            if not killed:
                return
        raise AssertionError("one suspension writes a hundred times")

    def test_what_is_suspended_before_it_was_made_is_not_made(self) -> None:
        ledger = Ledger().claim(self.handler(), self._absent)
        ledger.suspend()
        outcomes = ledger.run(watched(self.handler(), _never))
        assert [state["present"] for state in _converged(outcomes).values()] == [False] * len(
            ledger.claims
        )

    def test_what_nobody_claims_is_left_or_taken_out_as_the_handler_says(self) -> None:
        handler, ledger = self._made()
        ledger.withdraw()
        left = _converged(ledger.run(handler)).values()
        assert {state["present"] for state in left} == {not self.removes}
        _converged(ledger.run(watched(self.handler(), _never)))

    def test_what_is_withdrawn_and_claimed_again_is_as_it_was(self) -> None:
        handler, ledger, before = self._lived_in()
        ledger.withdraw()
        _converged(ledger.run(handler))
        _converged(ledger.claim(handler, self.params).run(self.handler()))
        assert self._states(ledger) == before

    def test_what_is_withdrawn_and_claimed_again_while_suspended_opens_as_it_was(self) -> None:
        handler, ledger, before = self._lived_in()
        ledger.withdraw()
        _converged(ledger.run(handler))
        ledger.claim(handler, self.params).suspend()
        _converged(ledger.run(handler))
        ledger.suspend(False)
        _converged(ledger.run(self.handler()))
        assert self._states(ledger) == before

    def test_killed_while_withdrawing_it_can_still_be_claimed_as_it_was(self) -> None:
        for survived in range(100):
            self._fresh(f"withdrawing-{survived}")
            handler, ledger, before = self._lived_in()
            ledger.withdraw()
            killed = self._killed(ledger, survived)
            _converged(ledger.claim(handler, self.params).run(handler))
            assert self._states(ledger) == before
            if not killed:
                return
        raise AssertionError("withdrawing writes a hundred times")

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
        _converged(ledger.run(handler))
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


def _merged(handler: Handler, key: Key, claims: Sequence[Claim]) -> object:
    """Merge claims; that they contradict each other is an answer, too."""
    try:
        return handler.merge(key, claims, None)
    except Conflict:
        return Conflict


def _never(changes: Sequence[Change]) -> None:
    raise AssertionError(f"written again: {[change.text for change in changes]}")


def _converged(outcomes: Mapping[Key, Outcome]) -> dict[Key, State]:
    """Give the states of what has converged, which must be all."""
    faults = {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}
    assert faults == {}
    return {key: one.state for key, one in outcomes.items() if one.state is not None}
