"""What a handler's claims, and merging them, must satisfy. Pure.

Leaves out: anything that calls a backend (`converging`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest

from provisioner.contract import (
    Claim,
    Conflict,
    Handler,
    InvalidRequest,
    Key,
    KnownAfter,
    make_key,
    split_key,
)
from provisioner.contract.late import fits
from provisioner.testing.fakes import HOSTILE, stored
from provisioner.testing.subject import Subject


class Claiming(Subject):
    """Claims are keys and wants, and several claims on one object are one want."""

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

    def test_a_want_says_what_of_it_is_known_later(self) -> None:
        """What the value decides is open, and all else is as it will be: manifests compare it."""
        handler = self.handler()
        known = {key: stored(want) for key, want in handler.claims(self.params).items()}
        for name in self.late:
            early = handler.claims({**self.params, name: KnownAfter("earlier")})
            unfit = {key: want for key, want in early.items() if not fits(want, known[key])}
            assert unfit == {}, f"{name}: as it will be: {known}"

    # Merging.

    def test_the_order_of_claims_says_nothing(self) -> None:
        handler = self.handler()
        for key, claims in self._both(handler).items():
            assert merged(handler, key, claims) == merged(handler, key, claims[::-1])

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
        first, other = handler.claims(self.params), handler.claims(self._other)
        return {
            key: (Claim("user:jdoe", stored(want)), Claim("allocation:42", stored(other[key])))
            for key, want in first.items()
        }


def merged(handler: Handler, key: Key, claims: Sequence[Claim]) -> object:
    """Return the merged want; a Conflict counts as an answer, too."""
    try:
        return handler.merge(key, claims, None)
    except Conflict:
        return Conflict
