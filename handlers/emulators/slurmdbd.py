"""What an emulated slurmdbd keeps: clusters, accounts, users and associations, in one JSON file.

Promises: one writer at a time (flock); a command is kept whole or not at all. Leaves out: what may
be asked and what is answered (`sacctmgr`). Only the standard library, and little of it: every
command starts an interpreter.
"""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH105

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Row: TypeAlias = dict[str, Any]


class Slurmdbd:
    """The tables of one slurmdbd, as long as its file is held."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.clusters: list[str] = kept["clusters"]
        self.accounts: dict[str, dict[str, str]] = kept["accounts"]
        self.users: dict[str, Row] = kept["users"]
        self.failed: list[str] = kept["failed"]
        self.jobs: list[dict[str, str]] = kept["jobs"]
        # A new slurmdbd has this QOS.
        self.qos: list[str] = kept.get("qos", ["normal"])
        self._associations = {_place(row): row for row in kept["assocs"]}

    def kept(self) -> dict[str, Any]:
        """Give what the file keeps."""
        return {
            "clusters": self.clusters,
            "accounts": self.accounts,
            "users": self.users,
            "assocs": list(self._associations.values()),
            "failed": self.failed,
            "jobs": self.jobs,
            "qos": self.qos,
        }

    def find(self, cluster: str, account: str, user: str = "") -> Row | None:
        """Find an association; an account's own has no user."""
        return self._associations.get((cluster, account, user))

    def add(self, row: Row) -> None:
        """Add an association."""
        self._associations[_place(row)] = row

    def remove(self, row: Row) -> None:
        """Take an association away."""
        del self._associations[_place(row)]

    def matching(self, **wanted: Collection[str]) -> list[Row]:
        """List the associations with these values of `cluster`, `account` and `user`; none: any."""
        tests = [(name, frozenset(values)) for name, values in wanted.items() if values]
        rows = self._associations.values()
        return [row for row in rows if all(row[name] in values for name, values in tests)]


def _place(row: Row) -> tuple[str, str, str]:
    return row["cluster"], row["account"], row["user"]


def create(path: str, clusters: Sequence[str]) -> None:
    """Make an empty slurmdbd for some clusters."""
    rows: list[Row] = [
        {"cluster": cluster, "account": "root", "user": user, "parent": "", "limits": {}}
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
    _write(path, kept)


@contextmanager
def opened(path: str, *, write: bool = False) -> Iterator[Slurmdbd]:
    """Give the tables under a lock; write them back when asked to and nothing was raised."""
    with open(f"{path}.lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
        with open(path, encoding="utf-8") as file:
            data = Slurmdbd(json.load(file))
        yield data
        if write:
            _write(path, data.kept())


def _write(path: str, kept: dict[str, Any]) -> None:
    # All or nothing, as a database does it: a caller's death must not empty it.
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(json.dumps(kept))
    os.replace(f"{path}.new", path)
