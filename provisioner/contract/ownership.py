"""Ownership: whose an object is that is there already, and whether it may be changed. Pure.

Promises: one rule for every handler whose backend says whose an object is, by a mark or an owner.
An object that is not ours is never changed because it has the right name:

| It is | Nobody claims it | Claimed, as wanted | It differs | It differs, `adopt: true` |
|---|---|---|---|---|
| ours | change | change | change | change |
| nobody's | leave | take over | refuse | take over |
| another's | leave | refuse | refuse | refuse |

To take over is to note that it is ours, and to change what differs; to refuse is a Conflict, and
nothing is written. Leaves out: how a backend says whose an object is, and objects that have no sign
of their own (docs/adr/0038); what an adoption of a whole site took over, which the ledger says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from provisioner.contract.faults import Conflict
from provisioner.contract.handler import Change, Key


class Whose(StrEnum):
    """Whose an object is by the sign that is on it; nobody's has none that a service set."""

    OURS = "ours"
    NOBODYS = "nobody's"
    ANOTHERS = "another's"


class Verdict(StrEnum):
    """What may be done with an object that is there."""

    CHANGE = "change"
    TAKE_OVER = "take over"
    LEAVE = "leave"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Existing:
    """An object that is there, in its backend's words.

    name: of it in the backend; sign: what says whose it is, as the rest of a sentence (`belongs to
    815`); differs: what is otherwise than wanted, if no change says it.
    """

    name: str
    whose: Whose
    sign: str
    differs: str = ""


def whose_mark(mark: str, ours: str) -> Whose:
    """Say whose an object is by the mark that is on it; empty: there is none."""
    if mark == ours:
        return Whose.OURS
    return Whose.ANOTHERS if mark else Whose.NOBODYS


def verdict(whose: Whose, *, claimed: bool, differs: bool, adopt: bool) -> Verdict:
    """Say what may be done with an object that is there."""
    if whose is Whose.OURS:
        return Verdict.CHANGE
    if not claimed:
        return Verdict.LEAVE
    if whose is Whose.ANOTHERS or (differs and not adopt):
        return Verdict.REFUSE
    return Verdict.TAKE_OVER


def owned(
    key: Key,
    thing: Existing,
    changes: Callable[[], Iterable[Change]],
    notes: Callable[[], Iterable[Change]] = lambda: (),
    *,
    claimed: bool = True,
    adopt: bool = False,
) -> list[Change]:
    """List the changes of an object that is there, if it may be changed.

    changes: what makes it as wanted; asked for only if its owner allows any. notes: what notes that
    it is ours. claimed: somebody claims it; adopt: a claim says that it may be taken over. Raises
    Conflict if it may not be changed, and what `changes` raises.
    """
    decided = verdict(thing.whose, claimed=claimed, differs=False, adopt=adopt)
    if decided is Verdict.LEAVE:
        return []
    if decided is Verdict.REFUSE:
        raise Conflict(f"{key}: {thing.name} {thing.sign}", advice=_ONE_OWNER)
    wanted = list(changes())
    differs = thing.differs or "; ".join(change.text for change in wanted)
    decided = verdict(thing.whose, claimed=claimed, differs=bool(differs), adopt=adopt)
    if decided is Verdict.REFUSE:
        raise Conflict(f"{key}: {thing.name} {thing.sign}, and it differs: {differs}")
    return [*notes(), *wanted]


_ONE_OWNER = "let only one of them claim this object"
