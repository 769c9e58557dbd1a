"""New users: whom the requests of a wave bring, and how many their submitter brought before.

Promises: reads alone, inside the caller's transaction. A user is new whom no request has named; for
a request about the user, one that no such request was for, so that a name in an allocation makes
nobody known. Leaves out: how many may be new (`rules`).
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.journal.journal import Connection
from provisioner.journal.queries import subjects
from provisioner.request.request import Request

NEW_USER = "new-user"
"""The kind of the events that say whom a request brought."""

HOUR = 3600.0

_OWN = "user."
"""How actions about a user begin."""


class Newcomers:
    """Whom submitters bring in one wave, after those of the last hour."""

    def __init__(self, conn: Connection, now: float) -> None:
        self._conn = conn
        self._since = now - HOUR
        self._counted: dict[tuple[int, str], set[str]] = {}

    def of(self, uid: int, request: Request) -> tuple[tuple[str, ...], int]:
        """Name the new users of a submitter's request, and count those of the hour before it."""
        counted = self._lately(uid, request.action)
        listing = subjects.without_request if _is_own(request) else subjects.unknown
        names = listing(self._conn, request.users)
        return tuple(name for name in names if name not in counted), len(counted)

    def allow(self, uid: int, request: Request, names: Iterable[str]) -> None:
        """Count the new users of a request that is allowed."""
        names = list(names)
        self._lately(uid, "").update(names)
        if _is_own(request):
            self._lately(uid, request.action).update(names)

    def _lately(self, uid: int, action: str) -> set[str]:
        begins = _OWN if action.startswith(_OWN) else ""
        if (uid, begins) not in self._counted:
            noted = subjects.noted_since(self._conn, uid, NEW_USER, self._since, begins)
            self._counted[uid, begins] = set(noted)
        return self._counted[uid, begins]


def _is_own(request: Request) -> bool:
    return request.action.startswith(_OWN)
