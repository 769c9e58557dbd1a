"""Users of whom slurmdbd lost the record, while their associations stayed: found, and planned.

Promises: pure, but for `lost`. A list that lacks lines is no proof: both are asked again, in other
words, and a user counts as lost only if all agree. Who is made again loses nothing, as their one
association is just what claims want; for anybody else a person is told what to type.
Leaves out: the calls (`removal`, `writes`).

Where two write at once, slurmdbd 24.11.5 with MariaDB's `innodb_snapshot_isolation=ON` may keep the
association of a new user and not their record: `sacctmgr add user` then says "Request didn't affect
anything", and no default account can be set. Only a new association makes the record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from handlers.slurm.limits.limits import Limits
from handlers.slurm.rows import Division, rows_of
from handlers.slurm.slurmdbd import FILTER, Association, Slurmdbd, by_name, here
from provisioner.contract import Change, Key, NotReady, State, Want


def lost(
    slurmdbd: Slurmdbd,
    suspects: Collection[str],
    seen: Mapping[tuple[str, str], Sequence[Association]],
) -> dict[str, list[str]]:
    """Return the users whose record is lost, with their accounts on the cluster.

    suspects: who has associations that no list of users shows; seen: associations of the accounts
    that were asked for. Raises Unavailable.
    """
    gone = slurmdbd.unrecorded(suspects) if suspects else set()
    names = sorted(gone)
    some = (names[start : start + FILTER] for start in range(0, len(names), FILTER))
    again = by_name(row for few in some for row in here(slurmdbd, few))
    for (account, user), rows in seen.items():
        there = again.get((account, user), ())
        if {row.partition for row in rows} != {row.partition for row in there}:
            gone.discard(user)
    return {user: sorted({a for a, name in again if name == user}) for user in gone}


def is_lost(want: Want, state: State) -> bool:
    """Return True if a user lacks a record and is to have access: to close it, none is needed."""
    return bool(state.get("unrecorded")) and not (want.get("closed") or want.get("as_before"))


def made_again(
    key: Key, state: State, division: Division, asked: Limits, add: Change
) -> list[Change]:
    """Return the changes that remove a user's only association, and add it again with the record.

    asked: what claims want of it; add: the change that adds it. Raises NotReady if the user would
    lose something by it.
    """
    account, user = str(add.data["account"]), str(add.data["name"])
    rows = rows_of(state)
    as_wanted = not division.others and all(seen == asked for seen in rows.values())
    if state["unrecorded"] != [account] or not as_wanted:
        where = f"name={user} cluster=NAME"
        raise NotReady(
            f"slurmdbd lost the record of {user}, whose association with {account} it still has",
            advice=f"a new association makes the record. Type `sacctmgr add user {user} "
            f"account=OTHER cluster=NAME`, `sacctmgr modify user where {where} set "
            f"defaultaccount={account}`, and `sacctmgr delete user where {where} account=OTHER`",
        )
    text = f"remove user {user} from account {account}, as slurmdbd lost the user's record"
    data: dict[str, Any] = {"account": account, "name": user}
    return [Change(key, "remake-user", text, 19, f"remake-user {account}", data), add]
