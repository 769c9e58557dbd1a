"""Refusals of outsiders: which are told by an event, and which are only counted.

Promises: of each writer who may ask for nothing, one refusal a day is told in full, and the next
one says how many came in between; so what an outsider adds to the trail grows with days, never with
files. Leaves out: who is an outsider (`policy`), and their files and rows (`outsiders`). Counts are
not kept over a restart: the service's log has each refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioner.journal import audit
from provisioner.objects.states import RequestState

EVENT = "outsider"
"""The kind of event that counts what outsiders left."""

DAY = 86400.0


class Daily:
    """Counts by writer, each told at most once a day."""

    def __init__(self) -> None:
        self._told: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    def is_time(self, uid: int, now: float) -> bool:
        """Return whether something is to be told of a writer; if so, it counts as told."""
        # A clock that was set back by more than a day silences nobody.
        if abs(now - self._told.get(uid, now - DAY)) < DAY:
            return False
        self._told[uid] = now
        return True

    def add(self, uid: int, number: int) -> None:
        """Count what is not told yet."""
        self._counts[uid] = self._counts.get(uid, 0) + number

    def take(self, uid: int) -> int:
        """Return what was counted of a writer since the last time."""
        return self._counts.pop(uid, 0)


class Refusals:
    """The refused requests of outsiders, for one thread. is_outsider: says so of a uid."""

    def __init__(self, is_outsider: Callable[[int], bool]) -> None:
        self._is_outsider = is_outsider
        self._daily = Daily()

    def judge(
        self, rows: Iterable[Mapping[str, Any]], now: float
    ) -> tuple[set[str], list[audit.Event]]:
        """Return which requests, by id, no event tells of; and events that count earlier ones.

        rows: of the requests' table, before they are written.
        """
        quiet: set[str] = set()
        counted: list[audit.Event] = []
        for row in rows:
            uid = row["uid"]
            if row["state"] != RequestState.REFUSED or not self._is_outsider(uid):
                continue
            if not self._daily.is_time(uid, now):
                self._daily.add(uid, 1)
                quiet.add(row["id"])
            elif number := self._daily.take(uid):
                text = (
                    f"{number} more refused files of {row['writer']}, who may ask for nothing, "
                    "have no event of their own"
                )
                facts = {"writer": row["writer"], "uid": uid, "files": number}
                counted.append(audit.Event(None, EVENT, text, None, facts))
        return quiet, counted
