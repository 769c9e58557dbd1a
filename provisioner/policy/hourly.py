"""What submitters brought within the last hour: new users, and requests.

Promises: reads only, inside the caller's transaction. A user is new if no request has named them.
For a request about the user, they are new if there was no such request before: a name in an
allocation makes nobody known. Leaves out: how many there may be (`rules`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from provisioner.journal.journal import Connection
from provisioner.journal.persons import lately, newcomers
from provisioner.request.request import Request
from provisioner.system.ulid import RequestId

NEW_USER = "new-user"
"""The kind of the events that name the users whom a request brought."""

HOUR = 3600.0

_OWN = "user."
"""The beginning of actions about a user."""


class Hourly:
    """What each submitter brings in one wave, added to that of the last hour."""

    def __init__(self, conn: Connection, now: float) -> None:
        self._conn = conn
        self._span = lately.Span(now - HOUR, now)
        self._counted: dict[tuple[int, str], set[str]] = {}
        self._requests: Counter[int] = Counter()

    def requests(self, uid: int, request: RequestId) -> int:
        """Return how many requests of a submitter came in the hour before, and were not refused.

        request: the one that is judged, for which it does not count if it is judged again.
        """
        if uid not in self._requests:
            self._requests[uid] = lately.asked(self._conn, uid, self._span, request)
        return self._requests[uid]

    def count(self, uid: int) -> None:
        """Count a request that is not refused, where anybody asks how many there are."""
        if uid in self._requests:
            self._requests[uid] += 1

    def newcomers(self, uid: int, request: Request) -> tuple[tuple[str, ...], int]:
        """Return a request's new users, and the number of its submitter's in the hour before."""
        counted = self._lately(uid, request.action)
        listing = newcomers.without_request if _is_own(request) else newcomers.unknown
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
            noted = lately.newcomers(self._conn, uid, self._span, begins)
            self._counted[uid, begins] = set(noted)
        return self._counted[uid, begins]


def _is_own(request: Request) -> bool:
    return request.action.startswith(_OWN)
