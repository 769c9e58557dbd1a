"""Keepsakes: what the ledger keeps of objects beside who claims them, to be given back.

Promises: everything is read and written inside the caller's transaction; what is saved before a
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
    """What is kept of one object.

    prior: what it was before it was closed; identity: what it was when it was last as wanted;
    applied: what claims have set of it, None where it was ours before that was noted.
    """

    prior: State | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None

    def item(self, key: Key, claims: tuple[Claim, ...], adoption: Adoption | None) -> Item:
        """Make an item that is looked at, and not due."""
        return Item(
            key, claims, self.prior, adoption=adoption, identity=self.identity, applied=self.applied
        )


NOTHING = Kept(applied={})
"""What is kept of an object that is not known."""

COLUMNS = (objects.c.prior, objects.c.identity, objects.c.applied, objects.c.converged)
"""What `kept` reads of a row."""

_OF = select(objects.c.key, *COLUMNS).where(objects.c.key.in_(IDS))


def kept(row: Any) -> Kept:
    """Read what is kept from a row with `COLUMNS`."""
    # Of what was never as wanted nothing was ours yet.
    applied = row.applied if row.applied is not None or row.converged else {}
    return Kept(row.prior, row.identity, applied)


def of(conn: Connection, keys: Collection[Key]) -> dict[Key, Kept]:
    """Return what is kept of objects; those that are not known are left out."""
    found: dict[Key, Kept] = {}
    for part in chunks(keys):
        found |= {row.key: kept(row) for row in conn.execute(_OF, {"b_ids": part})}
    return found


def save(conn: Connection, former: Former) -> None:
    """Keep what objects are before they are written."""
    for column, values in ((objects.c.prior, former.priors), (objects.c.applied, former.applied)):
        if values:
            value = bindparam("b_value", type_=column.type)
            conn.execute(
                update(objects).where(objects.c.key == bindparam("b_key")).values({column: value}),
                [{"b_key": key, "b_value": value} for key, value in values.items()],
            )
