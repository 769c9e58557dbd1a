"""Removals: how users leave an account in Slurm, with any default account.

Promises: no user who has jobs in the account is removed. Delete calls have lists that slurmdbd can
take, and none that it refuses because of another user's default account. Leaves out: who leaves
(`handler`).

Source: `_check_is_def_acct_before_remove` of Slurm 22.05.8, 24.11.5 and 26.05.3. 22.05 refuses a
list in which a default association follows one that is not, also of another user; 24.11 and later
refuse a user's default association while one of another account stays, 24.11 also while another one
of the same account does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from handlers.slurm.client import Tools
from handlers.slurm.healing import set_defaults
from handlers.slurm.limits.limits import Limits, add_words
from handlers.slurm.rows import chosen
from handlers.slurm.slurmdbd import (
    Association,
    Slurmdbd,
    by_name,
    contradicted,
    default_accounts,
    here,
)
from provisioner.contract import Key, NotReady, Transient, split_key

NOTHING: Mapping[str, Limits] = {}
"""What claims want of associations, if they want none."""

READ = 200
"""The most users that one read names."""

DELETED = 50
"""Users in one delete. The time of slurmdbd 24.11.5 grows faster than their number: for 500 users
of an account on a busy machine, the longest call took 54 s with 200 users in each and 10 s with 50;
all calls took 69 s and 28 s. 22.05.8 took 11 s either way."""


def below(key: Key, rows: Sequence[Association]) -> list[Key]:
    """Return what `delete account` takes with an account (24.11.5, 26.05.5): the accounts below it
    at any depth, and the associations with all of them. rows: of the whole cluster."""
    instance, _, account = split_key(key)
    gone, found = {account}, {account}
    while found:
        found = {row.account for row in rows if not row.user and row.parent in found} - gone
        gone |= found
    # A name that no key could have goes, too, so nothing is left out here.
    accounts = {f"{instance}/account/{name}" for name in gone - {account}}
    members = {f"{instance}/assoc/{row.account}/{row.user}" for row in rows if row.user}
    inside = {one for one in members if one.split("/")[2] in gone}
    return sorted(accounts | inside)


def remove(
    tools: Tools,
    account: str,
    names: Sequence[str],
    selection: Sequence[str] = (),
    asked: Mapping[str, Limits] = NOTHING,
) -> None:
    """Remove users' associations with an account, with partitions and without.

    selection: a word that names the associations to remove, if some stay; empty: all. asked: the
    limits that claims want of those that stay, by user; a user is left out if claims do not want
    each of them. Raises NotReady while one of the users has jobs under an association to be
    removed.
    """
    for some in _portions(names, READ):
        if selection:
            _remove_some(tools, account, some, selection, asked)
        else:
            _remove_all(tools, account, some)


def remove_unrecorded(tools: Tools, account: str, names: Sequence[str]) -> None:
    """Remove users of whom slurmdbd has no record from an account, so that adding them makes one.

    Who has one by now stays. Raises NotReady while one of the users has jobs there.
    """
    for some in _portions(names, READ):
        gone = tools.slurmdbd.unrecorded(some)
        lost = [name for name in some if name in gone]
        if lost and tools.slurmctld.running(account, lost):
            raise NotReady(
                f"slurmdbd lost the record of {', '.join(lost[:3])}, who still has jobs in "
                f"{account}: removed and added again when these are over",
                advice="until then jobs with that account run, and no default account can be set",
            )
        _delete(tools.slurmdbd, account, lost, [])


def _remove_all(tools: Tools, account: str, names: Sequence[str]) -> None:
    if tools.slurmctld.running(account, names):
        raise _working(account, names)
    defaults = default_accounts(tools.slurmdbd, names)
    staying: dict[str, str] = {}
    rows: dict[str, int] = {}
    for row in here(tools.slurmdbd, names):
        if row.account == account:
            rows[row.user] = rows.get(row.user, 0) + 1
        else:
            staying.setdefault(row.user, row.account)
    leaving = [name for name in names if defaults.get(name) == account]
    moved = {name: staying[name] for name in leaving if name in staying}
    # Of several associations with a default account, some may count as default and some may not.
    levelled = {name: account for name in leaving if name not in staying and rows.get(name, 0) > 1}
    set_defaults(tools.slurmdbd, moved | levelled)
    _delete(tools.slurmdbd, account, names, [name for name in leaving if name not in moved])


def _remove_some(
    tools: Tools,
    account: str,
    names: Sequence[str],
    selection: Sequence[str],
    asked: Mapping[str, Limits],
) -> None:
    defaults = default_accounts(tools.slurmdbd, names)
    staying = [name for name in names if defaults.get(name) == account]
    # An association that stays must count as default, or the user has no default account.
    set_defaults(tools.slurmdbd, dict.fromkeys(staying, account))
    try:
        _delete(tools.slurmdbd, account, names, staying, selection)
    except Transient as refused:
        # Slurm refuses because of a job under that association; only its message says so.
        if tools.slurmctld.running(account, names):
            raise _working(account, names) from None
        if not staying:
            raise
        alone = _remove_aside(tools, account, staying, selection)
        _check_alone(tools, account, alone, selection, asked, refused)
        _remove_and_add(tools, account, alone, selection)


def _remove_aside(
    tools: Tools, account: str, names: Sequence[str], selection: Sequence[str]
) -> list[str]:
    """Remove some associations of users whose default account this is, in a way that 24.11 takes;
    return the users who have no other account.

    It refuses while the account is a user's default (24.11.5): ` Error with request: You can not
    remove the default account of a user`. Meanwhile another account of theirs becomes the default.
    """
    rows = here(tools.slurmdbd, names)
    others = {row.user: row.account for row in rows if row.account != account}
    aside = [name for name in names if name in others]
    set_defaults(tools.slurmdbd, others)
    _delete(tools.slurmdbd, account, aside, [], selection)
    set_defaults(tools.slurmdbd, dict.fromkeys(aside, account))
    return [name for name in names if name not in others]


def _remove_and_add(
    tools: Tools, account: str, names: Sequence[str], selection: Sequence[str]
) -> None:
    """Remove users who have no other account from this one, and add the associations that stay.

    These are as claims want them (`_check_alone`), so the next plan adds what a kill left out.
    """
    rows = here(tools.slurmdbd, names)
    _delete(tools.slurmdbd, account, names, [])
    gone = chosen(selection) or ()
    for row in rows:
        if row.account == account and row.partition not in gone:
            _add_as_it_was(tools.slurmdbd, row)
    set_defaults(tools.slurmdbd, dict.fromkeys(names, account))


def _check_alone(
    tools: Tools,
    account: str,
    names: Sequence[str],
    selection: Sequence[str],
    asked: Mapping[str, Limits],
    refused: Transient,
) -> None:
    """Raise a fault if users could lose something by leaving an account and being added again.

    refused: what Slurm said; it is raised of a user with rights that adding does not give.
    """
    if not names:
        return
    rows = here(tools.slurmdbd, names)
    own = by_name(rows)
    named = tools.slurmdbd.users(names).partitions
    for place in sorted({*own, *named, *((account, name) for name in names)}):
        there = own.get(place, [])
        doubt = contradicted(*place, there, named.get(place, set()))
        if doubt is not None or not there or place[0] != account:
            raise doubt or refused
    if tools.slurmdbd.privileged(names):
        raise refused
    gone = chosen(selection) or ()
    for row in rows:
        if row.partition not in gone and row.limits != asked.get(row.user):
            where = f"name={row.user} cluster={tools.slurmdbd.cluster}"
            raise NotReady(
                f"{refused.message}. What stays of {row.user} in {account} has limits that no "
                "request asks for, and would lose them if it was removed and added again",
                advice=f"add {row.user} to another account, set that as default account (`sacctmgr "
                f"modify user where {where} set defaultaccount=OTHER`), remove the association "
                f"(`sacctmgr delete user where {where} account={account} {' '.join(selection)}`), "
                "and set the default account back",
            )


def _add_as_it_was(slurmdbd: Slurmdbd, row: Association) -> None:
    """Add a user's association again, with its partition and its limits."""
    partition = [f"partition={row.partition}"] if row.partition else []
    slurmdbd.add_users(row.account, [row.user], [*partition, *add_words(row.limits)])


def _working(account: str, names: Sequence[str]) -> NotReady:
    return NotReady(
        f"{', '.join(names[:3])} still has jobs in {account}: locked, will be removed later"
    )


def _delete(
    slurmdbd: Slurmdbd,
    account: str,
    names: Sequence[str],
    default: Sequence[str],
    selection: Sequence[str] = (),
) -> None:
    """Delete associations; default associations in a call of their own."""
    apart = set(default)
    for alike in ([name for name in names if name not in apart], default):
        for some in _portions(alike, DELETED):
            slurmdbd.delete_users(account, some, selection)


def _portions(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    return (names[start : start + most] for start in range(0, len(names), most))
