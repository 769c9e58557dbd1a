"""Storage of an emulated slurmdbd: clusters, accounts, users and associations, in one JSON file.

Promises: one writer at a time (flock); a command is kept completely or not at all. Leaves out: the
commands and their answers (`sacctmgr`). Only the standard library, and little of it: every command
starts an interpreter.
"""

from __future__ import annotations

import time

from handlers.emulators import statefile

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any, TypeAlias

    Row: TypeAlias = dict[str, Any]


TRES = ("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages")
"""The resources that a new slurmdbd counts, by number."""

COMPLETING = 1.0
"""Seconds for which a job that ran is still shown after it was cancelled."""

OVER = "OVER"
"""The state of a job that no program shows any more."""


class Slurmdbd:
    """The tables of one slurmdbd, while its file is held."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.clusters: list[str] = kept["clusters"]
        self.accounts: dict[str, dict[str, str]] = kept["accounts"]
        self.users: dict[str, Row] = kept["users"]
        self.failed: list[str] = kept["failed"]
        # `account`, `user`, perhaps `state`, `partition`, `ends`, `array` (how many elements).
        self.jobs: list[dict[str, str]] = kept["jobs"]
        # Jobs of the past: `user`, `end` in seconds since the epoch.
        self.past: list[dict[str, str]] = kept.get("past", [])
        self.purged: str = kept.get("purged", "NONE")
        # A new slurmdbd has this QOS.
        self.qos: list[str] = kept.get("qos", ["normal"])
        self.partitions: list[str] = kept.get("partitions", ["main"])
        # Associations, as (account, user), whose user slurmctld could not look up.
        self.failed_rows: list[list[str]] = kept.get("failed_rows", [])
        # Users whom slurmctld looked up again, and whose default account it does not have.
        self.undefaulted: list[str] = kept.get("undefaulted", [])
        self.tres: list[str] = kept.get("tres", list(TRES))
        self.enforced: str = kept.get("enforced", "associations,limits,qos")
        self._associations = {_place(row): row for row in kept["assocs"]}

    def kept(self) -> dict[str, Any]:
        """Return what the file keeps."""
        return {
            "clusters": self.clusters,
            "accounts": self.accounts,
            "users": self.users,
            "assocs": list(self._associations.values()),
            "failed": self.failed,
            "jobs": self.jobs,
            "past": self.past,
            "purged": self.purged,
            "qos": self.qos,
            "partitions": self.partitions,
            "failed_rows": self.failed_rows,
            "undefaulted": self.undefaulted,
            "tres": self.tres,
            "enforced": self.enforced,
        }

    def find(self, cluster: str, account: str, user: str = "", partition: str = "") -> Row | None:
        """Return an association; an account's own has no user."""
        return self._associations.get((cluster, account, user, partition))

    def add(self, row: Row) -> None:
        """Add an association."""
        self._associations[_place(row)] = row

    def matching(self, **wanted: Collection[str]) -> list[Row]:
        """Return the associations with these values of `cluster`, `account`, `user` and
        `partition`; an empty one matches any."""
        tests = [(name, frozenset(values)) for name, values in wanted.items() if values]
        rows = self._associations.values()
        return [row for row in rows if all(row[name] in values for name, values in tests)]

    def set_default(self, cluster: str, user: str, account: str) -> None:
        """Make exactly the user's associations with an account count as default."""
        for row in self.matching(cluster=[cluster], user=[user]):
            row["default"] = row["account"] == account
        self.users[user]["default"][cluster] = account
        if user not in self.failed:
            self.undefaulted = [name for name in self.undefaulted if name != user]

    def remove(self, rows: Collection[Row]) -> None:
        """Remove users' associations, and users who have none left.

        If no default association is left, the user has no default account, even if others of the
        same account stay.
        """
        for row in rows:
            del self._associations[_place(row)]
        for name in {row["user"] for row in rows}:
            left = self.matching(user=[name])
            if name not in self.users:
                continue
            default = self.users[name]["default"]
            for cluster in list(default):
                there = [row for row in left if row["cluster"] == cluster]
                if not there:
                    del default[cluster]
                elif not any(row["default"] for row in there):
                    default[cluster] = ""
            if not left:
                del self.users[name]
                self.failed = [user for user in self.failed if user != name]
                self.undefaulted = [user for user in self.undefaulted if user != name]
            accounts = {row["account"] for row in left}
            self.failed_rows = [
                [account, user]
                for account, user in self.failed_rows
                if user != name or account in accounts
            ]


def _place(row: Row) -> tuple[str, str, str, str]:
    return row["cluster"], row["account"], row["user"], row["partition"]


def job_state(job: Mapping[str, str]) -> str:
    """Return how a job stands now, in the words of squeue; OVER if it is gone."""
    if "ends" in job:
        return "COMPLETING" if time.time() < float(job["ends"]) else OVER
    return job.get("state", "RUNNING")


def association(
    cluster: str,
    account: str,
    user: str = "",
    partition: str = "",
    parent: str = "",
    *,
    default: bool = False,
) -> Row:
    """Return a row without limits. default: it counts for the user's default account."""
    return {
        "cluster": cluster,
        "account": account,
        "user": user,
        "partition": partition,
        "parent": parent,
        "default": default,
        "limits": {},
    }


def create(path: str, clusters: Sequence[str]) -> None:
    """Make an empty slurmdbd for some clusters."""
    rows: list[Row] = [
        association(cluster, "root", user, default=bool(user))
        for cluster in clusters
        for user in ("", "root")
    ]
    kept = {
        "clusters": list(clusters),
        "accounts": {"root": {"description": "default root account", "organization": "root"}},
        "users": {"root": {"default": dict.fromkeys(clusters, "root")}},
        "assocs": rows,
        "failed": [],
        "jobs": [],
    }
    statefile.write(path, kept)


class opened:  # noqa: N801
    """Hold the tables under a lock; write them back if `write` is set and nothing was raised."""

    def __init__(self, path: str, *, write: bool = False) -> None:
        self._file = statefile.Held(path, f"{path}.lock", changes=write)

    def __enter__(self) -> Slurmdbd:
        self._data = Slurmdbd(self._file.__enter__())
        return self._data

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.value = self._data.kept()
        self._file.__exit__(kind, error, trace)
