"""Throughout: all objects, or all that a writer claims, counted and in portions.

Promises: reads only, inside the caller's transaction, and no more than a portion at once. Leaves
out: what is done about them (`manifests.everything`).
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, Select, func, select

from provisioner.contract import Key
from provisioner.journal.schema import claims, companions, objects, requests, steps
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId


def number(conn: Connection, source: str | None, most: int) -> int:
    """Count the objects that a writer claims, or all for None; no more than `most`."""
    some = _keys(source).limit(most).subquery()
    return conn.scalar(select(func.count()).select_from(some)) or 0


def after(conn: Connection, source: str | None, key: Key | Literal[""], most: int) -> list[Key]:
    """Return the next of those objects after one, in the order of their keys; '' for the first."""
    keys = _keys(source)
    [column] = keys.selected_columns
    return list(conn.scalars(keys.where(column > key).order_by(column).limit(most)))


def _keys(source: str | None) -> Select[tuple[Key]]:
    if source is None:
        return select(objects.c.key)
    return select(claims.c.key).where(claims.c.source == source).distinct()


def unfollowed(conn: Connection) -> dict[RequestId, int]:
    """Return the accepted requests that look at all objects, in portions, and have not done so yet;
    with their writers' uids, oldest first."""
    begun = select(steps.c.name).where(steps.c.request == requests.c.id).exists()
    lists = select(companions.c.request).where(companions.c.request == requests.c.id).exists()
    waiting = (
        select(requests.c.id, requests.c.uid)
        .where(requests.c.state == RequestState.ACCEPTED, requests.c.action == "reconcile")
        .where(~begun, ~lists)
        .order_by(requests.c.id)
    )
    return {row.id: row.uid for row in conn.execute(waiting)}
