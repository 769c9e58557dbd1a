"""Suspensions in advance: for subjects without claims yet, and how many a writer may have.

Promises: one writer cannot fill the journal with invented names or causes. For a subject with
claims only the number of causes counts. Everything is read inside the caller's transaction. Leaves
out: what a suspension does (`ledger`).
"""

from __future__ import annotations

from sqlalchemy import Connection, func, or_, select

from provisioner.contract import Refused
from provisioner.journal.schema import claims, suspensions

MOST = 10_000
"""The most suspensions of one writer for subjects that have no claims."""

CAUSES = 100
"""The most causes for which one writer may suspend one subject at the same time."""

ENDED = "ended"
"""The cause of a suspension because a date has come: there is always room for this one."""

IDLE = "idle"
"""The cause of a suspension for lack of use: whoever may resume its subject lifts the service's."""

_COUNT = select(func.count()).select_from(suspensions)


def check(conn: Connection, subject: str, source: str, cause: str) -> None:
    """Raise Refused if one more suspension by a writer would be too many.

    A suspension that already exists is not one more.
    """
    mine = suspensions.c.source == source
    causes = select(suspensions.c.cause).where(suspensions.c.subject == subject, mine)
    standing = set(conn.scalars(causes))
    if cause in standing:
        return
    if len(standing) >= CAUSES and cause != ENDED:
        raise Refused(
            f"{source} has suspended {subject} for {len(standing)} causes; the limit is {CAUSES}",
            advice=f"resume {subject} for some of them; provisioner status {subject} lists them",
        )
    if int(conn.scalar(_COUNT.where(mine)) or 0) < MOST or _claimed(conn, subject):
        return
    nobody = ~select(claims.c.key).where(claims.c.root == suspensions.c.subject).exists()
    nobody &= ~select(claims.c.key).where(claims.c.leaf == suspensions.c.subject).exists()
    if int(conn.scalar(_COUNT.where(mine, nobody)) or 0) >= MOST:
        raise Refused(
            f"nobody claims anything for {subject}, and {source} has already suspended {MOST} such "
            "subjects",
            advice="resume those that will never have anything: the names may be wrong",
        )


def _claimed(conn: Connection, subject: str) -> bool:
    some = or_(claims.c.root == subject, claims.c.leaf == subject)
    return conn.scalar(select(claims.c.key).where(some).limit(1)) is not None
