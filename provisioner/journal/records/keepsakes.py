"""Keepsakes: what the ledger saves of objects, besides their claims, to restore it later.

Promises: everything is read and written inside the caller's transaction. What is saved before a
write is durable with that transaction. Leaves out: what was last read, and when an object is due
(`object_rows`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from provisioner.contract import Claim, Key, Scalar, State
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.schema import objects
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item
from provisioner.objects.states import Adoption


@dataclass(frozen=True, slots=True)
class Kept:
    """What is saved of one object.

    prior: its state before it was closed; identity: its identity when it was last as wanted;
    applied: what claims have set on it, None if it was ours before the journal recorded that.
    """

    prior: State | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None

    def item(self, key: Key, claims: tuple[Claim, ...], adoption: Adoption | None) -> Item:
        """Return an item that is only looked at, and is not due."""
        return Item(
            key, claims, self.prior, adoption=adoption, identity=self.identity, applied=self.applied
        )


NOTHING = Kept(applied={})
"""What is saved of an unknown object."""

COLUMNS = (objects.c.prior, objects.c.identity, objects.c.applied, objects.c.converged)
"""The columns that `kept` reads."""

_OF = select(objects.c.key, *COLUMNS).where(objects.c.key.in_(IDS))


def kept(row: Any) -> Kept:
    """Return what is saved of an object. row: one with `COLUMNS`."""
    # An object that was never as wanted has nothing of ours yet.
    applied = row.applied if row.applied is not None or row.converged else {}
    return Kept(row.prior, row.identity, applied)


def of(conn: Connection, keys: Collection[Key]) -> dict[Key, Kept]:
    """Return what is saved of objects; unknown ones are left out."""
    keepsakes: dict[Key, Kept] = {}
    for part in chunks(keys):
        keepsakes |= {row.key: kept(row) for row in conn.execute(_OF, {"b_ids": part})}
    return keepsakes


def save(conn: Connection, former: Former) -> None:
    """Save what objects are before they are written."""
    for column, values in ((objects.c.prior, former.priors), (objects.c.applied, former.applied)):
        if values:
            value = bindparam("b_value", type_=column.type)
            conn.execute(
                update(objects).where(objects.c.key == bindparam("b_key")).values({column: value}),
                [{"b_key": key, "b_value": value} for key, value in values.items()],
            )
