"""A hold: the right of a lane in this process to write, which another host may take.

Promises: a lane asks before each call that writes to its backend, and in each transaction. Leaves
out: how a lane is taken up, and how others are kept out (`hosts`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from provisioner.journal.journal import Connection
from provisioner.system.ulid import RequestId


class Hold(Protocol):
    """What a lane asks."""

    def sure(self) -> None:
        """Raise Overtaken unless nobody else may write to the backend now."""

    def check(self, conn: Connection) -> None:
        """Raise Overtaken if another host has taken the lane up before this transaction."""

    def tell(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Let whoever files requests know, at the commit, of those that the transaction ended."""


class Alone:
    """The hold of a process that has all lanes: its service's lock keeps others out."""

    def sure(self) -> None:
        """Do nothing."""

    def check(self, conn: Connection) -> None:
        """Do nothing."""

    def tell(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Do nothing: the lane's `finish` does it."""
