"""What was there before us: what may be written, by how it was found and what is wanted of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from provisioner.contract import Change, Claim, Conflict, Fault, Key, State, Want
from provisioner.convergence.existing import Differs, as_taken, guarded, look, take
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption

KEY = "x/thing/a"


class Things:
    """A handler of marked things with a size: those unmarked that differ are a conflict."""

    lane = "x"

    def __init__(self, state: State) -> None:
        self._state = state

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        return dict.fromkeys(keys, self._state)

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        size = max((str(claim.want["size"]) for claim in live), default="closed")
        return {"size": size, "adopt": any(claim.want["adopt"] for claim in claims)}

    def prior(self, key: Key, state: State) -> State | None:
        return None

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if not state["present"]:
            return [Change(key, "make", "make it")] if want["size"] != "closed" else []
        if state["mark"] == "theirs":
            raise Conflict("it bears another's mark")
        changes = [Change(key, "size", "size it")] if state["size"] != want["size"] else []
        if state["mark"] == "ours":
            return changes
        if changes and not want["adopt"]:
            raise Conflict("it is unmarked, and differs")
        return [Change(key, "mark", "mark it"), *changes]


ABSENT: State = {"present": False}


def there(size: str = "5", mark: str = "") -> State:
    return {"present": True, "size": size, "mark": mark}


class Hanging(Things):
    """A handler of things without a mark of their own, as a membership of an unmarked group."""

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if want["size"] != "closed" and not want["adopt"]:
            raise Conflict("it hangs on what is unmarked")
        return [Change(key, "size", "size it")] if state["size"] != want["size"] else []

    def apply(self, changes: Sequence[Change]) -> None:
        self._state = there("closed")


class Reopening(Things):
    """A handler that can open things as they were."""

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        return {**want, "size": prior["size"]}


def item(adoption: Adoption | None, *claims: Claim) -> Item:
    return Item(KEY, claims, adoption=adoption)


OPEN = Claim("allocation:1", {"size": "5", "adopt": False})
SHUT = Claim("allocation:1", {"size": "5", "adopt": False}, suspended=True)


@dataclass(frozen=True)
class Case:
    """How it was taken over, before and after; fault's type, and what would be written."""

    adoption: Adoption | None
    claims: tuple[Claim, ...]
    state: State
    fault: type[Fault] | None
    writes: tuple[str, ...]
    after: Adoption | None


SIZE = ("size it",)
CASES = {
    "new and fits, unmarked": Case(Adoption.NEW, (OPEN,), there(), None, (), Adoption.OURS),
    "new and fits, marked": Case(
        Adoption.NEW, (OPEN,), there(mark="ours"), None, (), Adoption.OURS
    ),
    "new and differs": Case(Adoption.NEW, (OPEN,), there("4"), Differs, (), Adoption.DIFFERS),
    "new and differs, marked": Case(
        Adoption.NEW, (OPEN,), there("4", "ours"), Differs, (), Adoption.DIFFERS
    ),
    "new and another's": Case(Adoption.NEW, (OPEN,), there(mark="theirs"), Conflict, (), None),
    "new and not there": Case(Adoption.NEW, (OPEN,), ABSENT, Fault, ("make it",), None),
    "new and nobody's": Case(Adoption.NEW, (), there(), None, (), Adoption.SEEN),
    "new, nobody's, not there": Case(Adoption.NEW, (), ABSENT, None, (), Adoption.SEEN),
    "differs still": Case(Adoption.DIFFERS, (OPEN,), there("4"), Differs, (), Adoption.DIFFERS),
    "differed, and fits by now": Case(Adoption.DIFFERS, (OPEN,), there(), None, (), Adoption.OURS),
    "differs, and is to be closed": Case(
        Adoption.DIFFERS, (SHUT,), there("4"), None, SIZE, Adoption.DIFFERS
    ),
    "ours and changed": Case(Adoption.OURS, (OPEN,), there("4"), None, SIZE, Adoption.OURS),
    "ours and closed": Case(Adoption.OURS, (SHUT,), there(), None, SIZE, Adoption.OURS),
    "seen, and nobody's": Case(Adoption.SEEN, (), there("4", "theirs"), None, (), Adoption.SEEN),
    "seen, claimed, fits": Case(Adoption.SEEN, (OPEN,), there(), None, (), Adoption.OURS),
    "seen, claimed, differs": Case(Adoption.SEEN, (OPEN,), there("4"), Differs, (), Adoption.SEEN),
    "seen, claimed, closed": Case(Adoption.SEEN, (SHUT,), there("4"), Differs, (), Adoption.SEEN),
    "as any other, and fits": Case(None, (OPEN,), there(mark="ours"), None, (), None),
    "as any other, unmarked": Case(None, (OPEN,), there(), None, (), Adoption.OURS),
    "as any other, differs": Case(None, (OPEN,), there("4"), Conflict, (), None),
    "as any other, marked": Case(None, (OPEN,), there("4", "ours"), None, SIZE, None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_seen_of_an_object_says_what_may_be_written(name: str) -> None:
    case = CASES[name]
    handler: Any = Things(case.state)
    [seen] = look(handler, [item(case.adoption, *case.claims)])
    fault = seen.outcome.fault
    assert fault is None if case.fault is None else isinstance(fault, case.fault)
    assert (seen.writes, seen.adoption) == (case.writes, case.after)


GUARDED = {
    "new": (Adoption.NEW, (OPEN,), True),
    "seen": (Adoption.SEEN, (OPEN,), True),
    "seen, and to be closed": (Adoption.SEEN, (SHUT,), True),
    "differs": (Adoption.DIFFERS, (OPEN,), True),
    "differs, and to be closed": (Adoption.DIFFERS, (SHUT,), False),
    "differs, and nobody's any more": (Adoption.DIFFERS, (), False),
    "ours": (Adoption.OURS, (OPEN,), False),
    "as any other": (None, (OPEN,), False),
}


@pytest.mark.parametrize("name", GUARDED)
def test_what_was_not_taken_over_is_only_looked_at(name: str) -> None:
    found, claims, expected = GUARDED[name]
    handler: Any = Things(ABSENT)
    assert guarded(handler, item(found, *claims)) is expected


@pytest.mark.parametrize("handlers, writes", [(Reopening, ("size it",)), (Things, ())])
def test_what_a_suspension_closed_is_written_if_its_handler_can_open_it_as_it_was(
    handlers: type[Things], writes: tuple[str, ...]
) -> None:
    handler: Any = handlers(there("closed", "ours"))
    closed = replace(item(Adoption.DIFFERS, OPEN), prior=there("4"))
    [seen] = look(handler, [closed])
    assert (seen.writes, seen.adoption) == (writes, Adoption.DIFFERS)
    assert guarded(handler, closed) is (not writes)


@pytest.mark.parametrize("claim", [OPEN, SHUT], ids=["open", "suspended"])
def test_what_only_its_adoption_lets_us_write_stays_adopted(claim: Claim) -> None:
    handler: Any = Hanging(there("5"))
    [outcome] = take(handler, [item(Adoption.OURS, claim)], lambda former: None)
    assert (outcome.fault, outcome.adoption) == (None, Adoption.OURS)


def test_what_is_ours_by_its_mark_needs_no_adoption_any_more() -> None:
    handler: Any = Things(there("5", "ours"))
    [outcome] = take(handler, [item(Adoption.OURS, OPEN)], lambda former: None)
    assert (outcome.fault, outcome.adoption) == (None, None)


@pytest.mark.parametrize("adoption", [None, Adoption.NEW, Adoption.DIFFERS])
def test_what_others_closed_is_not_marked_as_ours_while_it_is_suspended(
    adoption: Adoption | None,
) -> None:
    handler: Any = Things(there("closed"))
    [outcome] = take(handler, [item(adoption, SHUT)], lambda former: None)
    assert (outcome.fault, outcome.changed) == (None, ())
    assert outcome.adoption == (None if adoption is None else Adoption.DIFFERS)


def test_claims_of_what_was_taken_over_may_take_it_over() -> None:
    assert [claim.want["adopt"] for claim in as_taken(item(Adoption.OURS, OPEN)).claims] == [True]
    assert as_taken(item(None, OPEN)).claims == (OPEN,)
    bare = Claim("allocation:1", {"size": "5"})
    assert as_taken(item(Adoption.OURS, bare)).claims == (bare,)
