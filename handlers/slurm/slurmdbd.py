"""What the handler asks of a slurmdbd and writes to it, whichever way it gets there.

Promises: one protocol for each way (`sacctmgr`, `rest`). A list of associations that lacks the
account `root`, which every cluster has, is none: slurmdbd shows one who is no operator, under
PrivateData, only their own (slurmdbd.conf(5)). Limits and texts are words as `sacctmgr modify ...
set` takes them. Leaves out: the calls themselves, and what should exist (`handler`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from handlers.slurm.limits.limits import Limits
from provisioner.contract import Finding, Unavailable

FILTER = 200
"""Up to this many names a call asks only for them; with more, for the whole cluster."""

ROOT = "root"
"""The account that slurmdbd makes with each cluster, and that nobody can delete; also the user whom
it makes first."""


@dataclass(frozen=True, slots=True)
class Association:
    """One row of `show assoc`, with the association's own settings; an account's own row has no
    user."""

    account: str
    user: str
    parent: str
    limits: Limits
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """What `show user withassoc` says of users on a cluster.

    defaults: their default accounts, by user; partitions: of their associations, by account and
    user.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    partitions: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What there is of some accounts and users, read at one time.

    rows: the accounts' own associations, and the users' with them; shared: which of these accounts
    other clusters also have; named: of the users, by the other list; texts: of accounts.
    """

    rows: Sequence[Association] = ()
    shared: Collection[str] = ()
    named: Named = Named()
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Slurmdbd(Protocol):
    """One cluster of a slurmdbd.

    Each read raises Unavailable if slurmdbd does not answer. Each write raises Unknown if no answer
    came, and Transient or Permanent if it was refused; none of them proves what was written.
    """

    @property
    def cluster(self) -> str:
        """Return its name."""

    def look(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> Look:
        """Return what there is of accounts and users. described: those of the accounts whose texts,
        and other clusters, are asked for, too."""

    def associations(self, accounts: Collection[str]) -> list[Association]:
        """Return the associations of accounts; without any account, of the whole cluster."""

    def associations_of(self, users: Collection[str]) -> list[tuple[str, Association]]:
        """Return all associations of users, on every cluster."""

    def users(self, users: Collection[str]) -> Named:
        """Return what the list of users says of some, or without any, of all."""

    def privileged(self, users: Collection[str]) -> set[str]:
        """Return the users who are administrators or operators, or coordinate an account. Raises
        Unavailable if the list lacks one of the users."""

    def unrecorded(self, users: Collection[str]) -> set[str]:
        """Return which users slurmdbd has no record of; nobody if its list cannot be whole."""

    def accounts(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return accounts' descriptions and organizations."""

    def qos(self) -> list[str]:
        """Return the QOS of the slurmdbd, which all its clusters share."""

    def usable_qos(self, accounts: Collection[str]) -> dict[tuple[str, str], list[str]]:
        """Return the QOS that accounts and their users may use, including inherited ones."""

    def tres(self) -> list[str]:
        """Return the resources that the slurmdbd can count, as in `gres/gpu:a100`."""

    def clusters(self) -> list[str]:
        """Return the clusters of the slurmdbd."""

    def version(self) -> str:
        """Return its version, `24.11.5`; '' if it does not say."""

    def findings(self) -> Sequence[Finding]:
        """Return what `doctor` says of the way to it. Raises Unavailable."""

    def prepare(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> None:
        """Get ready for this look and for a write after it, which come soon. Returns at once."""

    def add_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        """Add accounts; attributes may name a parent, texts and limits."""

    def modify_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        """Set an account's parent, texts and limits."""

    def add_users(self, account: str, names: Sequence[str], attributes: Sequence[str]) -> None:
        """Add users to an account; attributes may name partitions and limits."""

    def modify_users(
        self,
        account: str,
        names: Sequence[str],
        selection: Sequence[str],
        attributes: Sequence[str],
    ) -> None:
        """Set limits of users' associations with an account. selection: `rows.selections`."""

    def set_default(self, account: str, names: Sequence[str]) -> None:
        """Make an account the default account of users."""

    def delete_users(self, account: str, names: Sequence[str], selection: Sequence[str]) -> None:
        """Delete users' associations with an account. selection: `rows.selections`."""


def default_accounts(slurmdbd: Slurmdbd, users: Collection[str]) -> dict[str, str]:
    """Return users' default accounts on the cluster."""
    return dict(slurmdbd.users(users).defaults)


def here(slurmdbd: Slurmdbd, names: Collection[str]) -> list[Association]:
    """Return users' associations on this cluster."""
    every = slurmdbd.associations_of(names)
    return [row for cluster, row in every if cluster == slurmdbd.cluster and row.user]


def check_whole(accounts: Collection[str], cluster: str) -> None:
    """Raise Unavailable if a list of associations cannot be all that there is."""
    if ROOT not in accounts:
        raise Unavailable(
            f"slurmdbd shows no account {ROOT} of {cluster}, which each cluster has",
            advice="check that `cluster` is registered (`sacctmgr show cluster`), and that the "
            "service's user is an operator or administrator (`sacctmgr show user NAME`)",
        )


def by_name(rows: Iterable[Association]) -> dict[tuple[str, str], list[Association]]:
    """Return associations by account and user; an account's own row has no user."""
    rows_of: dict[tuple[str, str], list[Association]] = {}
    for row in rows:
        rows_of.setdefault((row.account, row.user), []).append(row)
    return rows_of


def doubled(rows: Sequence[Association]) -> Unavailable | None:
    """Return a fault if an association was printed more than once: nobody knows which one
    counts."""
    if len({row.partition for row in rows}) == len(rows):
        return None
    of = " ".join(filter(None, (rows[0].account, rows[0].user)))
    return Unavailable(
        f"sacctmgr prints an association of {of} more than once",
        advice=f"check `sacctmgr show assoc account={rows[0].account}` and `sacctmgr show problem`",
    )


def contradicted(
    account: str, user: str, rows: Sequence[Association], named: Collection[str]
) -> Unavailable | None:
    """Return a fault if two lists disagree about a user's associations with an account.

    rows: of `show assoc`; named: their partitions by `show user withassoc`. A list that lost some
    of its lines would else make a suspension done that closed nothing.
    """
    if {row.partition for row in rows} == set(named):
        return None
    return Unavailable(
        f"sacctmgr's lists disagree about the associations of {account} {user}",
        advice=f"compare `sacctmgr show assoc account={account} user={user}` with `sacctmgr show "
        f"user {user} withassoc`; it is tried again by itself",
    )
