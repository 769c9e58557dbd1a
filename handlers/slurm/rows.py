"""A user's associations with one account: those that exist, and those that should.

Promises: pure. A user may have one association without a partition (its name here is ''), which
counts for every partition that has none of its own, and one for each of some partitions. A claim
that names partitions gets these and no others. A claim that names none gets the association without
a partition; but if somebody else gave the user only partitions, these stay, and nothing is added,
because an association without a partition would open all others.
Leaves out: the changes themselves (`plan`).

Source: sacctmgr(1), "partition" of users; slurmctld's `assoc_mgr_fill_in_assoc` looks for the
partition's association first, and then for the one without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from handlers.slurm.limits.limits import Limits
from provisioner.contract import Claim, State, Want

WITHOUT = ""
"""The name of the association without a partition."""

Rows = Mapping[str, Limits]
"""A user's associations with one account, by partition."""


@dataclass(frozen=True, slots=True)
class Division:
    """What becomes of a user's associations with one account.

    missing: to be made; asked: those that exist and claims ask for; others: somebody else's, which
    stay unchanged; leaving: to be removed.
    """

    missing: tuple[str, ...]
    asked: tuple[str, ...]
    others: tuple[str, ...]
    leaving: tuple[str, ...]


def rows_of(state: State) -> Rows:
    """Return a user's associations in a state."""
    rows: dict[str, Limits] = dict(cast(Rows, state.get("partitions") or {}))
    if state.get("limits") is not None:
        rows[WITHOUT] = cast(Limits, state["limits"])
    return rows


def state_of(rows: Rows) -> dict[str, object]:
    """Return the part of a state that says which associations exist."""
    parts = {name: dict(limits) for name, limits in sorted(rows.items()) if name}
    whole = {"limits": dict(rows[WITHOUT])} if WITHOUT in rows else {}
    return {**whole, "partitions": parts} if parts else {**whole}


def asked_partitions(claims: Iterable[Claim]) -> tuple[str, ...]:
    """Return the partitions that claims ask for together; () if one claim asks for all."""
    asked = [cast(Sequence[str], claim.want.get("partitions") or ()) for claim in claims]
    return tuple(sorted({name for one in asked for name in one})) if all(asked) else ()


def divide(want: Want, rows: Rows) -> Division:
    """Return what becomes of associations. A suspension closes all that exist."""
    if want.get("closed"):
        return Division((), tuple(sorted(rows)), (), ())
    if want.get("as_before"):
        return Division((), (), tuple(sorted(rows)), ())
    named = set(cast(Sequence[str], want.get("partitions") or ()))
    if named:
        return _division(named, rows, leaving=set(rows) - named)
    ours = ours_of(want)
    if rows and WITHOUT not in rows and not ours:
        return Division((), tuple(sorted(rows)), (), ())
    return _division({WITHOUT}, rows, leaving=ours & set(rows))


def stays_alone(want: Want, rows: Rows) -> tuple[str, ...]:
    """Return a remark on a user to whom somebody else gave only partitions: they get no more."""
    asked = want.get("closed") or not want.get("present") or want.get("partitions")
    if asked or not rows or WITHOUT in rows or ours_of(want):
        return ()
    return (
        f"keeps only the partitions {', '.join(sorted(rows))}, which an admin gave: an "
        "association without a partition would open all others. To give all, remove these by hand, "
        "or ask for `partitions` once",
    )


def ours_of(want: Want) -> set[str]:
    """Return the partitions that claims asked for when the association was last as wanted."""
    was = want.get("was")
    text = str(was.get("partitions") or "") if isinstance(was, Mapping) else ""
    return {name for name in text.split(",") if name}


def _division(asked: set[str], rows: Rows, leaving: set[str]) -> Division:
    there = set(rows)
    missing, kept, others = asked - there, asked & there, there - asked - leaving
    return Division(*(tuple(sorted(some)) for some in (missing, kept, others, leaving)))


def selections(some: Collection[str], rows: Rows) -> list[tuple[str, tuple[str, ...]]]:
    """Return which of a user's associations a command is about, as a word after `where`.

    One word for each command, with the associations it is about; '' if these are all associations,
    so that no word is needed.
    """
    if set(some) == set(rows):
        return [("", tuple(sorted(some)))]
    parts = tuple(sorted(name for name in some if name))
    found = [(f"partition={','.join(parts)}", parts)] if parts else []
    # sacctmgr 22.05.8 reads `partition=""` as the one without, and `partition=` as none.
    return [*found, ('partition=""', (WITHOUT,))] if WITHOUT in some else found


def chosen(selection: Sequence[str]) -> frozenset[str] | None:
    """Return the partitions that words of `selections` name; None if they name all."""
    if not selection:
        return None
    return frozenset(
        name.strip('"') for one in selection for name in one.partition("=")[2].split(",")
    )


def words(some: Collection[str], rows: Rows) -> str:
    """Return as text which of several associations a change is about; '' for the usual one."""
    if set(some) == {WITHOUT} == set(rows):
        return ""
    said = [f"partition {name}" for name in sorted(some) if name]
    return f" ({', '.join([*said, *(['without partition'] if WITHOUT in some else [])])})"
