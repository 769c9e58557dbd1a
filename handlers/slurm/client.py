"""sacctmgr, scontrol and squeue: their argument lists, and what they print.

Promises: list calls in chunks, always with `cluster=`; a write that ran out of time is Unknown. A
list of associations that lacks the account `root`, which every cluster has, is none: slurmdbd shows
one who is no operator, under PrivateData, only their own, and exits with 0 (slurmdbd.conf(5)).
Leaves out: what should exist (`handler`). Source: sacctmgr(1), scontrol(1), squeue(1).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from handlers.slurm.limits.limits import COLUMNS, OWN, Limits, printed
from provisioner.contract import Completed, Permanent, Run, Transient, Unavailable, Unknown

_ENFORCED = re.compile(r"^AccountingStorageEnforce\s*=\s*(\S.*)$", re.MULTILINE)

FAILED_UID = 4294967294
"""The uid that slurmctld stores for a user whom it could not look up."""

FILTER = 200
"""Up to this many names a call asks only for them; with more, for the whole cluster."""

ROOT = "root"
"""The account that slurmdbd makes with each cluster, and that nobody can delete."""

_ASSOC = ("Account", "User", "Partition", "ParentName", *COLUMNS)
_PARTITION = re.compile(r"^PartitionName=(\S+)", re.MULTILINE)
_VERSION = re.compile(r"^SLURMDBD_VERSION\s*=\s*(\S+)", re.MULTILINE)
_NO_ACCESS = re.compile(r"(?:don't|not) have access to their default qos", re.IGNORECASE)
_HELD = re.compile(
    r"^\s*(?:ClusterName=\S+ Account=(\S+) )?UserName=(\S+?)\((\d+)\)(?: DefAccount=(\S+))?",
    re.MULTILINE,
)


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
class Held:
    """What slurmctld holds of users.

    failed: with a failed uid lookup, as (account, user); ('', user) is the user's own record.
    Either may have failed without the other; while the user's own record has, slurmctld refuses a
    job that names no account. undefaulted: users looked up, but without a default account.
    """

    failed: frozenset[tuple[str, str]] = frozenset()
    undefaulted: frozenset[str] = frozenset()


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


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs, as argument lists, and where their configuration is."""

    run: Run
    cluster: str
    sacctmgr: Sequence[str] = ("sacctmgr",)
    scontrol: Sequence[str] = ("scontrol",)
    squeue: Sequence[str] = ("squeue",)
    scancel: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    sacct: Sequence[str] = ("sacct",)

    def associations(self, accounts: Collection[str]) -> list[Association]:
        """Return the associations of accounts; without any account, of the whole cluster."""
        where = [*OWN, f"cluster={self.cluster}", *_among(accounts)]
        rows = self._show("assoc", where, _ASSOC)
        self._whole({row[0] for row in rows})
        asked = frozenset(accounts)
        return [self._association(row) for row in rows if not asked or row[0] in asked]

    def everywhere(self, accounts: Collection[str]) -> tuple[list[Association], set[str]]:
        """Return the associations of accounts, and which of these accounts other clusters also
        have."""
        rows = self._show("assoc", [*OWN, *_among(accounts)], ("Cluster", *_ASSOC))
        own = [self._association(row[1:]) for row in rows if row[0] == self.cluster]
        self._whole({row.account for row in own})
        others = {row[1] for row in rows if row[0] != self.cluster}
        asked = frozenset(accounts)
        return [one for one in own if one.account in asked], others & asked

    def associations_of(self, users: Collection[str]) -> list[tuple[str, Association]]:
        """Return all associations of users, on every cluster."""
        where = [*OWN, f"user={','.join(sorted(users))}"]
        rows = self._show("assoc", where, ("Cluster", *_ASSOC))
        return [(row[0], self._association(row[1:])) for row in rows]

    def _whole(self, accounts: Collection[str]) -> None:
        """Raise Unavailable if a list of associations cannot be all that there is."""
        if ROOT not in accounts:
            raise Unavailable(
                f"sacctmgr shows no account {ROOT} of {self.cluster}, which each cluster has",
                advice="check that `cluster` is registered (`sacctmgr show cluster`), and that the "
                "service's user is an operator or administrator (`sacctmgr show user NAME`)",
            )

    @staticmethod
    def _association(row: Sequence[str]) -> Association:
        account, user, partition, parent, *limits = row
        return Association(account, user, parent, printed(limits), partition)

    def default_accounts(self, users: Collection[str]) -> dict[str, str]:
        """Return users' default accounts on the cluster."""
        return self.users(users)[0]

    def users(
        self, users: Collection[str]
    ) -> tuple[dict[str, str], dict[tuple[str, str], set[str]]]:
        """Return users' default accounts on the cluster, and the partitions of their associations
        by account and user."""
        where = ["withassoc", "where", f"cluster={self.cluster}"]
        if 0 < len(users) <= FILTER:
            where.append(f"name={','.join(sorted(users))}")
        rows = self._show("user", where, ("User", "DefaultAccount", "Account", "Partition"))
        partitions: dict[tuple[str, str], set[str]] = {}
        for user, _, account, partition, *_ in rows:
            if account:
                partitions.setdefault((account, user), set()).add(partition)
        return {user: default for user, default, *_ in rows if default}, partitions

    def privileged(self, users: Collection[str]) -> set[str]:
        """Return the users who are administrators or operators, or coordinate an account. Raises
        Unavailable if the list lacks one of the users."""
        if not users:
            return set()
        where = ["withcoord", "where", f"name={','.join(sorted(users))}"]
        rows = self._show("user", where, ("User", "AdminLevel", "Coordinators"))
        lacking = sorted(set(users) - {row[0] for row in rows})
        if lacking:
            raise Unavailable(
                f"sacctmgr shows no rights of {', '.join(lacking[:3])}",
                advice="compare `sacctmgr show user NAME withcoord` with `sacctmgr show user NAME`",
            )
        return {name for name, level, of, *_ in rows if level not in ("", "None") or of}

    def accounts(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return accounts' descriptions and organizations."""
        where = ["where", f"name={','.join(sorted(names))}"] if 0 < len(names) <= FILTER else []
        rows = self._show("account", where, ("Account", "Description", "Organization"))
        return {name: (description, organization) for name, description, organization, *_ in rows}

    def qos(self) -> list[str]:
        """Return the QOS of the slurmdbd, which all its clusters share."""
        return [row[0] for row in self._show("qos", [], ("Name",))]

    def usable_qos(self, accounts: Collection[str]) -> dict[tuple[str, str], list[str]]:
        """Return the QOS that accounts and their users may use, including inherited ones."""
        where = [f"cluster={self.cluster}", f"account={','.join(sorted(accounts))}"]
        rows = self._show("assoc", where, ("Account", "User", "QOS"))
        return {(account, user): qos.split(",") for account, user, qos, *_ in rows}

    def tres(self) -> list[str]:
        """Return the resources that the slurmdbd can count, as in `gres/gpu:a100`."""
        rows = self._show("tres", [], ("Type", "Name"))
        return ["/".join(part for part in row[:2] if part) for row in rows]

    def clusters(self) -> list[str]:
        """Return the clusters of the slurmdbd."""
        return [row[0] for row in self._show("cluster", [], ("Cluster",))]

    def version(self) -> str:
        """Return slurmdbd's version, `24.11.5`; '' if it does not say."""
        found = _VERSION.search(self.config())
        return found[1] if found else ""

    def config(self) -> str:
        """Return slurmdbd's settings, one a line."""
        return self._ask([*self.sacctmgr, "show", "config"], "slurmdbd")

    def ended(self, first: int, last: int) -> list[tuple[str, str]]:
        """Return (user, end) of each job from so many days ago to so many; an end is in seconds
        since the epoch, or a word for a job that is not over."""
        window = [f"--starttime=now-{first}days", f"--endtime=now-{last}days" if last else ""]
        argv = [*self.sacct, "-X", "-n", "-P", "--allusers", f"--clusters={self.cluster}"]
        argv += [*filter(None, window), "--format=User,End"]
        # An agent takes no environment: its own configuration has the variable.
        by_agent = self.sacct[0].partition(":")[0] == "agent"
        text = self._ask(argv, "slurmdbd", {} if by_agent else {"SLURM_TIME_FORMAT": "%s"})
        if text and not text.endswith("\n"):
            raise Unavailable(f"{' '.join(argv)[:150]}: its output was cut off")
        rows = (line.partition("|") for line in text.splitlines())
        return [(user, end) for user, _, end in rows]

    def held(self, users: Collection[str] = (), accounts: Collection[str] = ()) -> Held:
        """Return what slurmctld holds of users and their associations with accounts; without any
        user, of everybody."""
        if not self.scontrol:
            return Held()
        some = [
            f"{what}={','.join(sorted(names))}"
            for what, names in (("users", users), ("accounts", accounts))
            if 0 < len(names) <= FILTER
        ]
        argv = [*self.scontrol, "show", "assoc_mgr", *some, "flags=users,assoc"]
        text = self._ask(argv, "slurmctld")
        rows = [
            (account, user, int(uid) == FAILED_UID, default)
            for account, user, uid, default in _HELD.findall(text)
            if not users or (user in users and (not account or account in accounts))
        ]
        return Held(
            frozenset((account, user) for account, user, failed, _ in rows if failed),
            frozenset(user for _, user, failed, has in rows if has == "(null)" and not failed),
        )

    def partitions(self) -> list[str] | None:
        """Return the partitions of the cluster, hidden ones too; None if there is no scontrol."""
        if not self.scontrol:
            return None
        text = self._ask([*self.scontrol, "--all", "--oneliner", "show", "partition"], "slurmctld")
        return _PARTITION.findall(text)

    def enforced(self) -> frozenset[str]:
        """Return which parts of slurmdbd's data slurmctld enforces (slurm.conf(5),
        AccountingStorageEnforce): `associations`, `limits`, `qos` and others; empty if none."""
        text = self._ask([*self.scontrol, "show", "config"], "slurmctld")
        found = _ENFORCED.search(text)
        words = found.group(1).lower().split(",") if found else []
        return frozenset(word.strip() for word in words) - {"none", "(null)", ""}

    def running(self, account: str, users: Collection[str]) -> bool:
        """Return True if users have jobs in an account."""
        if not self.squeue:
            return False
        some = [f"--users={','.join(sorted(users))}"] if len(users) <= FILTER else []
        argv = [*self.squeue, "--noheader", f"--account={account}", *some, "--format=%i"]
        return bool(self._ask(argv, "slurmctld").strip())

    def jobs(self, accounts: Collection[str], users: Collection[str]) -> dict[tuple[str, str], int]:
        """Count jobs that run or wait, by account and user; one that only ends does not count."""
        argv = [*self.squeue, "--noheader", "--array", "--format=%a|%u|%T"]
        for option, names in (("account", accounts), ("users", users)):
            argv += [f"--{option}={','.join(sorted(names))}"] if len(names) <= FILTER else []
        counts: dict[tuple[str, str], int] = {}
        for line in self._ask(argv, "slurmctld").splitlines():
            account, _, rest = line.strip().partition("|")
            user, _, state = rest.partition("|")
            if state and state != "COMPLETING":
                counts[account, user] = counts.get((account, user), 0) + 1
        return counts

    def cancel(self, account: str, user: str) -> None:
        """End a user's jobs in an account. Raises as `write` does."""
        argv = [*self.scancel, f"--user={user}", f"--account={account}"]
        self._judge(self.run(argv, timeout=self.timeout, env=self.environment))

    def check_cancel(self) -> None:
        """Raise Unavailable if scancel cannot be run."""
        self._ask([*self.scancel, "--version"], "scancel")

    def reconfigure(self) -> None:
        """Make slurmctld look up all users again."""
        done = self.run([*self.scontrol, "reconfigure"], timeout=self.timeout, env=self.environment)
        self._judge(done)

    def write(self, words: Iterable[str]) -> None:
        """Run one immediate sacctmgr command.

        Raises Unknown if it ran out of time, Transient if it failed; neither proves anything.
        """
        argv = [*self.sacctmgr, "-i", *words]
        self._judge(self.run(argv, timeout=self.timeout, env=self.environment))

    def _judge(self, done: Completed) -> None:
        # 22.05.8 then exits with 0 and sets nothing of the whole command; later ones exit with 1.
        if not done.timed_out and _NO_ACCESS.search(done.stderr + done.stdout):
            raise Permanent(
                f"{_shown(done)}: {_words(done)}",
                advice="add the default QOS to the QOS, or remove it from the request",
            )
        if done.timed_out:
            raise Unknown(f"{_shown(done)} gave no answer within {self.timeout:g} s")
        if done.returncode != 0:
            raise Transient(
                f"{_shown(done)} exited with {done.returncode}: {_words(done)}",
                advice="run the command by hand as the service's user",
            )

    def _show(self, what: str, where: Sequence[str], columns: Sequence[str]) -> list[list[str]]:
        argv = [*self.sacctmgr, "-nP", "show", what, *where, f"format={','.join(columns)}"]
        text = self._ask(argv, "slurmdbd")
        if text and not text.endswith("\n"):
            advice = "run it by hand as the service's user; look at what the words before it do"
            raise Unavailable(f"{' '.join(argv)[:150]}: its output was cut off", advice=advice)
        rows = [line.split("|") for line in text.splitlines() if "|" in line or line.strip()]
        return [row + [""] * (len(columns) - len(row)) for row in rows]

    def _ask(self, argv: Sequence[str], daemon: str, more: Mapping[str, str] | None = None) -> str:
        """Run a command that only reads, and return its output. Raises Unavailable."""
        done = self.run(argv, timeout=self.timeout, env={**self.environment, **(more or {})})
        if done.timed_out:
            raise Unavailable(
                f"{_shown(done)} gave no answer within {self.timeout:g} s",
                advice=f"{daemon} may be up but stuck on this call: try other calls, and check its "
                "log for errors",
            )
        if done.returncode != 0:
            raise Unavailable(
                f"{_shown(done)}: {_words(done)}",
                advice=f"check that {daemon} is up and that the service's user can reach it",
            )
        return done.stdout


def _among(accounts: Collection[str]) -> list[str]:
    """Return the words that ask for accounts, and for the one by which the answer is whole."""
    named = ",".join(sorted({*accounts, ROOT}))
    return [f"account={named}"] if 0 < len(accounts) <= FILTER else []


def _shown(done: Completed) -> str:
    text = " ".join(done.argv)
    return text if len(text) < 160 else text[:150] + " ..."


def _words(done: Completed) -> str:
    text = " ".join((done.stderr.strip() or done.stdout.strip()).split())
    return text[:500] or f"exit code {done.returncode}"
