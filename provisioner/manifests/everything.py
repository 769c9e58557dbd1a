"""Everything: a look at all objects, or at all of a writer, if these are very many.

Promises: each portion is a commit in which some objects become due, and others have their turn
between two of them. After a crash all of it is done again, which does no harm. Leaves out: looks
that wait for their objects (`verbs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from provisioner.contract import Key
from provisioner.controls.effects import Effect
from provisioner.controls.verbs import leaving, too_many
from provisioner.journal.figures import throughout
from provisioner.journal.records import ledger, object_rows
from provisioner.manifests.following import Errand, Follower

TOGETHER = 5_000
"""The objects that become due in one commit."""


class Everything:
    """One look at everything."""

    def __init__(self, errand: Errand, follower: Follower, source: str | None) -> None:
        """source: the writer whose claims are looked at; None: of all."""
        self._errand = errand
        self._follower = follower
        self._source = source

    def run(self) -> Iterator[None]:
        """Do a portion at each step. Raises Stopped."""
        again = left = 0
        last: Key | Literal[""] = ""
        while True:
            with self._follower.commit(self._errand) as commit:
                keys = throughout.after(commit.conn, self._source, last, TOGETHER)
                kept = ledger.as_found(commit.conn, keys)
                again += object_rows.look_again(commit.conn, set(keys) - kept, commit.turn)
                left += len(kept)
                if len(keys) < TOGETHER:
                    effect = Effect(notes=[too_many(again)])
                    commit.conclude(leaving(commit.conn, effect, left))
                    return
            last = keys[-1]
            yield
