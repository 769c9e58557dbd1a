"""Gauges: what is used of each quota now, whose it is, and how it goes on.

Promises: each handler is asked in one call for all its objects. Leaves out: who is told (`watch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.contract import Fault, Key, Meter
from provisioner.contract.abilities import Meters, able
from provisioner.journal.figures import quota as figures
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import rights
from provisioner.journal.records import ledger, object_rows, request_rows
from provisioner.quotas import levels
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.wiring import System

_PROVIDING = {"allocation": "allocation.provision", "project": "project.provision"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an object is: a subject, the code of its project, and the person who answers for it.

    role: user for a person's own, else pi. '' for what no request says.
    """

    subject: str
    person: str = ""
    role: str = "pi"
    project: str = ""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit of one object. full: days until it is reached; None: not within a year."""

    key: Key
    meter: Meter
    owners: tuple[Owner, ...] = ()
    full: float | None = None

    @property
    def of(self) -> figures.Of:
        """The object and what is counted."""
        return self.key, self.meter.what

    @property
    def percent(self) -> float:
        """How much of the limit is used."""
        return levels.percent(self.meter)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. unread: handlers that could not be asked, and why."""

    gauges: tuple[Gauge, ...]
    unread: Mapping[str, str]


def read(system: System) -> Read:
    """Read the use of all objects of the ledger that have a quota, the fullest first."""
    meters: dict[Key, Sequence[Meter]] = {}
    unread: dict[str, str] = {}
    for name, handler in system.handlers.items():
        if not able(handler, Meters):
            continue
        with system.journal.reading() as conn:
            keys = object_rows.all_keys(conn, [name])
        if not keys:
            continue
        try:
            meters.update(handler.metered(keys))
        except Fault as fault:
            unread[name] = fault.message
        except Exception as error:  # a third party's handler may break its promise; ask the others
            unread[name] = f"its use could not be read: {error!r}"
    with system.journal.reading() as conn:
        owned = owners(conn, list(meters))
        points = figures.points(conn, meters)
    gauges = [
        Gauge(
            key,
            meter,
            owned.get(key, ()),
            levels.days_left(meter, points.get((key, meter.what), ())),
        )
        for key, some in meters.items()
        for meter in some
    ]
    gauges.sort(key=lambda gauge: (-gauge.percent, -gauge.meter.used, gauge.of))
    return Read(tuple(gauges), unread)


def owners(conn: Connection, keys: Sequence[Key]) -> dict[Key, tuple[Owner, ...]]:
    """Return whose objects are, by the claims on them."""
    owned: dict[str, Owner] = {}
    found: dict[Key, tuple[Owner, ...]] = {}
    for key, claims in ledger.claims_of(conn, keys).items():
        subjects = dict.fromkeys(claim.claimant.partition("/")[0] for claim in claims)
        for subject in subjects:
            if subject not in owned:
                owned[subject] = _owner(conn, subject)
        found[key] = tuple(owned[subject] for subject in subjects)
    return found


def _owner(conn: Connection, subject: str) -> Owner:
    kind, _, name = subject.partition(":")
    if kind == "user":
        return Owner(subject, name, "user")
    project: Mapping[str, Any] = {}
    ids = rights.provided(conn, subject, _PROVIDING[kind]) if kind in _PROVIDING else []
    for record in request_rows.load(conn, ids).values():
        try:
            project = crowds.whole(record.body, record.listed).values.get("project") or {}
        except (InvalidDocument, Fault):
            continue
    return Owner(subject, str(project.get("pi") or ""), "pi", str(project.get("code") or ""))
