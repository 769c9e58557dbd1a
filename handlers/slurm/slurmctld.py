"""slurmctld: what it holds of users, its partitions and its jobs, by scontrol, squeue and scancel.

Promises: a program that is not configured is not asked. Leaves out: records of former jobs
(`jobs`). Source: scontrol(1), squeue(1), scancel(1).
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from handlers.slurm.programs import Programs
from handlers.slurm.slurmdbd import FILTER
from handlers.slurm.spare import Spare

_ENFORCED = re.compile(r"^AccountingStorageEnforce\s*=\s*(\S.*)$", re.MULTILINE)

_LATER = 0.02
"""Seconds until a scontrol is started: sacctmgr was by then, and the step before it waits."""

FAILED_UID = 4294967294
"""The uid that slurmctld stores for a user whom it could not look up."""

_PARTITION = re.compile(r"^PartitionName=(\S+)", re.MULTILINE)
_HELD = re.compile(
    r"^\s*(?:ClusterName=\S+ Account=(\S+) )?UserName=(\S+?)\((\d+)\)(?: DefAccount=(\S+))?",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Held:
    """What slurmctld holds of users.

    failed: with a failed uid lookup, as (account, user); ('', user) is the user's own record.
    Either may have failed without the other; while the user's own record has, slurmctld refuses a
    job that names no account. undefaulted: users looked up, but without a default account.
    """

    failed: frozenset[tuple[str, str]] = frozenset()
    undefaulted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slurmctld:
    """The programs that talk to a cluster's slurmctld; an empty one is never run."""

    programs: Programs
    scontrol: Sequence[str] = ("scontrol",)
    squeue: Sequence[str] = ("squeue",)
    scancel: Sequence[str] = ()
    spare: Spare | None = None

    def prepare(self) -> None:
        """Start a scontrol that will be asked for users who are added soon, in a thread of its own
        and a little later: others need the processors first."""
        if self.spare is not None:
            with contextlib.suppress(RuntimeError):  # a host without a thread left
                timer = threading.Timer(_LATER, self._prepare, [self.spare])
                timer.daemon = True
                timer.start()

    @staticmethod
    def _prepare(spare: Spare) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            spare.prepare()

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
        words = ["show", "assoc_mgr", *some, "flags=users,assoc"]
        done = self.spare.run(words, self.programs.timeout) if self.spare is not None else None
        if done is None or (done.returncode and not done.timed_out):
            text = self.programs.ask([*self.scontrol, *words], "slurmctld")
        else:
            text = self.programs.answer(done, "slurmctld")
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
        text = self.programs.ask(
            [*self.scontrol, "--all", "--oneliner", "show", "partition"], "slurmctld"
        )
        return _PARTITION.findall(text)

    def enforced(self) -> frozenset[str]:
        """Return which parts of slurmdbd's data slurmctld enforces (slurm.conf(5),
        AccountingStorageEnforce): `associations`, `limits`, `qos` and others; empty if none."""
        text = self.programs.ask([*self.scontrol, "show", "config"], "slurmctld")
        found = _ENFORCED.search(text)
        words = found.group(1).lower().split(",") if found else []
        return frozenset(word.strip() for word in words) - {"none", "(null)", ""}

    def running(self, account: str, users: Collection[str]) -> bool:
        """Return True if users have jobs in an account."""
        if not self.squeue:
            return False
        some = [f"--users={','.join(sorted(users))}"] if len(users) <= FILTER else []
        argv = [*self.squeue, "--noheader", f"--account={account}", *some, "--format=%i"]
        return bool(self.programs.ask(argv, "slurmctld").strip())

    def jobs(self, accounts: Collection[str], users: Collection[str]) -> dict[tuple[str, str], int]:
        """Count jobs that run or wait, by account and user; one that only ends does not count."""
        argv = [*self.squeue, "--noheader", "--array", "--format=%a|%u|%T"]
        for option, names in (("account", accounts), ("users", users)):
            argv += [f"--{option}={','.join(sorted(names))}"] if len(names) <= FILTER else []
        counts: dict[tuple[str, str], int] = {}
        for line in self.programs.ask(argv, "slurmctld").splitlines():
            account, _, rest = line.strip().partition("|")
            user, _, state = rest.partition("|")
            if state and state != "COMPLETING":
                counts[account, user] = counts.get((account, user), 0) + 1
        return counts

    def cancel(self, account: str, user: str) -> None:
        """End a user's jobs in an account. Raises as `Programs.act` does."""
        argv = [*self.scancel, f"--user={user}", f"--account={account}"]
        self.programs.act(argv)

    def check_cancel(self) -> None:
        """Raise Unavailable if scancel cannot be run."""
        self.programs.ask([*self.scancel, "--version"], "scancel")

    def reconfigure(self) -> None:
        """Make slurmctld look up all users again."""
        self.programs.act([*self.scontrol, "reconfigure"])
