"""Keepsakes: what is saved of objects, besides their claims, to restore it later; who had a name.

Promises: everything is read and written inside the caller's transaction. What is saved before a
write is durable with that transaction. Numbers of objects and names of writers stay for ever.
Leaves out: what was last read, and when an object is due (`object_rows`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from provisioner.contract import Claim, Key, Scalar, State
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, upsert
from provisioner.journal.schema import numbers, objects, writers
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item
from provisioner.objects.states import Adoption
from provisioner.plain.values import value


@value(frozen=True, slots=True)
class Kept:
    """What is saved of one object.

    prior: its state before it was closed; identity: its identity when it was last as wanted;
    applied: what claims have set on it, None if it was ours before the journal recorded that;
    begun: it may have been written.
    """

    prior: State | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None
    begun: bool = False

    def item(self, key: Key, claims: tuple[Claim, ...], adoption: Adoption | None) -> Item:
        """Return an item that is only looked at, and is not due."""
        return Item(
            key,
            claims,
            self.prior,
            adoption=adoption,
            identity=self.identity,
            applied=self.applied,
            begun=self.begun,
        )


NOTHING = Kept(applied={})
"""What is saved of an unknown object."""

COLUMNS = (objects.c.prior, objects.c.identity, objects.c.applied, objects.c.converged)
"""The columns that `kept` reads."""

_THE_OBJECT = update(objects).where(objects.c.key == bindparam("b_key"))
_SAVE_PRIOR = _THE_OBJECT.values(prior=bindparam("b_value"))
_SAVE_APPLIED = _THE_OBJECT.values(applied=bindparam("b_value"))

_OF = select(objects.c.key, *COLUMNS).where(objects.c.key.in_(IDS))

_SHELVED = select(objects.c.key, objects.c.instance, objects.c.adoption, *COLUMNS)


@dataclass(frozen=True, slots=True)
class Shelved:
    """An object as the ledger has it, besides its claims: its handler's instance, how it was taken
    over, and what is saved of it."""

    instance: str
    adoption: Adoption | None
    kept: Kept


def kept(row: Any) -> Kept:
    """Return what is saved of an object. row: one with `COLUMNS`."""
    return _kept(row.prior, row.identity, row.applied, row.converged)


def _kept(prior: Any, identity: Any, applied: Any, converged: int | None) -> Kept:
    begun = bool(converged) or applied is not None
    # An object that was never as wanted has nothing of ours yet.
    return Kept(prior, identity, applied if begun else {}, begun)


def of(conn: Connection, keys: Collection[Key]) -> dict[Key, Kept]:
    """Return what is saved of objects; unknown ones are left out."""
    keepsakes: dict[Key, Kept] = {}
    for part in chunks(keys):
        keepsakes |= {row.key: kept(row) for row in conn.execute(_OF, {"b_ids": part})}
    return keepsakes


def shelved(conn: Connection, keys: Collection[Key]) -> dict[Key, Shelved]:
    """Return what the ledger has of objects besides their claims; unknown ones are left out."""
    found: dict[Key, Shelved] = {}
    for part in chunks(keys):
        found |= _shelved(conn.execute(_SHELVED.where(objects.c.key.in_(IDS)), {"b_ids": part}))
    return found


def _shelved(rows: Iterable[Any]) -> dict[Key, Shelved]:
    return {
        key: Shelved(instance, adoption, _kept(*columns))
        for key, instance, adoption, *columns in rows
    }


def save(conn: Connection, former: Former) -> None:
    """Save what objects are before they are written."""
    for statement, values in ((_SAVE_PRIOR, former.priors), (_SAVE_APPLIED, former.applied)):
        rows = [{"b_key": key, "b_value": value} for key, value in values.items()]
        bulk.run(conn, statement, rows)


_KEEP_NUMBER = upsert(numbers).on_conflict_do_nothing()

_BEARERS = (
    select(numbers.c.number, numbers.c.key)
    .outerjoin(objects, objects.c.key == numbers.c.key)
    .where(
        numbers.c.kind == bindparam("b_kind"),
        numbers.c.number.between(bindparam("b_first"), bindparam("b_last")),
        # An object that the journal has no other row of may have been in any lane.
        func.coalesce(objects.c.lane, bindparam("b_lane")) == bindparam("b_lane"),
    )
    .order_by(numbers.c.number, numbers.c.key)
)


def save_numbers(conn: Connection, had: Mapping[Key, Mapping[str, int]]) -> None:
    """Keep the numbers that objects have, for ever. had: object -> kind -> number."""
    rows = [
        {"kind": kind, "number": number, "key": key}
        for key, kinds in had.items()
        for kind, number in kinds.items()
    ]
    bulk.run(conn, _KEEP_NUMBER, rows)


def bearers(conn: Connection, lane: str, kind: str, first: int, last: int) -> dict[int, list[Key]]:
    """Return the objects of a lane that have or had a number from first to last, by number."""
    parameters = {"b_lane": lane, "b_kind": kind, "b_first": first, "b_last": last}
    keys: dict[int, list[Key]] = {}
    for number, key in conn.execute(_BEARERS, parameters):
        keys.setdefault(number, []).append(key)
    return keys


_NAME = upsert(writers)
_KEEP_NAME = _NAME.on_conflict_do_update(index_elements=["name"], set_={"uid": _NAME.excluded.uid})


def save_names(conn: Connection, uids: Mapping[str, int]) -> None:
    """Keep whose requests names of writers mean. uids: by name."""
    bulk.run(conn, _KEEP_NAME, [{"name": name, "uid": uid} for name, uid in uids.items()])


def names(conn: Connection) -> dict[str, int]:
    """Return the uid whose requests each name of a writer means."""
    rows = conn.execute(select(writers.c.name, writers.c.uid))
    return {row.name: row.uid for row in rows}
