"""Refusals of outsiders: which get an event, and which are only counted.

Promises: of each writer who may ask for nothing, one refusal a day gets a full event, and the next
one says how many came in between. So an outsider adds to the trail by days, never by files. Leaves
out: who is an outsider (`policy`), and their files and rows (`outsiders`). A restart loses the
counts; the service's log has each refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioner.journal import audit
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

EVENT = "outsider"
"""The kind of event that counts what outsiders left."""

DAY = 86400.0


class Daily:
    """Counts by writer, each reported at most once a day."""

    def __init__(self) -> None:
        self._reported: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    def is_time(self, uid: int, now: float) -> bool:
        """Return True if a writer may be reported now; this then counts as reported."""
        # A clock that was set back by more than a day silences nobody.
        if abs(now - self._reported.get(uid, now - DAY)) < DAY:
            return False
        self._reported[uid] = now
        return True

    def add(self, uid: int, number: int) -> None:
        """Count something that is not reported."""
        self._counts[uid] = self._counts.get(uid, 0) + number

    def take(self, uid: int) -> int:
        """Return a writer's count since the last time."""
        return self._counts.pop(uid, 0)


class Refusals:
    """Refused requests of outsiders, for one thread. is_outsider: returns True for their uids."""

    def __init__(self, is_outsider: Callable[[int], bool]) -> None:
        self._is_outsider = is_outsider
        self._daily = Daily()

    def judge(
        self, rows: Iterable[Mapping[str, Any]], now: float
    ) -> tuple[set[RequestId], list[audit.Event]]:
        """Return the ids of requests that get no event, and events that count earlier ones.

        rows: of the table of requests, before they are written.
        """
        quiet: set[RequestId] = set()
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
