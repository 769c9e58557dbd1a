"""Gauges: what is used of each quota now, whose it is, and how it goes on.

Promises: each handler is asked in one call for all its objects, and in one for all users of its
file system. Leaves out: closed homes, homes whose users nobody counts, and who is told (`watch`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from provisioner.contract import Fault, Key, Meter, Permanent, State, split_key
from provisioner.contract.abilities import Counted, Meters, MetersUsers, able
from provisioner.journal.figures import quota as figures
from provisioner.journal.journal import Connection, JournalBroken
from provisioner.journal.outbox import rights
from provisioner.journal.records import ledger, object_rows, request_rows
from provisioner.quotas import levels
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.system.ulid import RequestId
from provisioner.wiring import System

_PROVIDING = {"allocation": "allocation.provision", "project": "project.provision"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an object is: a subject, the code of its project, and the person who answers for it.

    role: user for a person's own, else pi; managers: who answer for it, too; request: the newest
    that was done for an allocation or a project. '' for what no request says.
    """

    subject: str
    person: str = ""
    role: str = "pi"
    project: str = ""
    managers: tuple[str, ...] = ()
    request: RequestId | None = None

    @property
    def people(self) -> dict[str, str]:
        """Everybody who answers for it, with the role of each."""
        named = {self.person: self.role} if self.person else {}
        return {**dict.fromkeys(self.managers, "manager"), **named}


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
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(levels.limit(self.meter))

    @property
    def percent(self) -> float:
        """How much of the limit is used."""
        return levels.percent(self.meter)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. unread: handlers that could not be asked, and why; uncounted: instances with
    objects whose owners' use nobody counts."""

    gauges: tuple[Gauge, ...]
    unread: Mapping[str, str]
    uncounted: tuple[str, ...] = ()


def read(system: System) -> Read:
    """Read the use of all objects of the ledger that have a quota, the fullest first; what has no
    limit comes last."""
    meters: dict[Key, Sequence[Meter]] = {}
    unread: dict[str, str] = {}
    counted: dict[str, list[str]] = {}
    for name, handler in system.handlers.items():
        if able(handler, Counted):
            counted.setdefault(handler.counted_by(), []).append(name)
        if able(handler, Meters):
            keys = _ours(system, [name])
            if keys:
                with _apart(name, unread):
                    meters.update(handler.metered(keys))
    uncounted = [name for name in counted.pop("", []) if _states(system, [name])]
    for by, names in counted.items():
        with _apart(by, unread):
            meters.update(_of_owners(system, by, names))
    with system.journal.reading() as conn:
        owned = owners(conn, list(meters))
        points = figures.points(conn, meters)
        states = object_rows.states(conn, list(meters))
    gauges = [
        Gauge(
            key,
            replace(meter, path=meter.path or _path(system, key, states.get(key))),
            owned.get(key, ()),
            levels.days_left(meter, points.get((key, meter.what), ())),
        )
        for key, some in meters.items()
        for meter in some
    ]
    gauges.sort(key=lambda g: (not g.limited, -g.percent, -g.meter.used, g.of))
    return Read(tuple(gauges), unread, tuple(uncounted))


@contextmanager
def _apart(name: str, unread: dict[str, str]) -> Iterator[None]:
    """Note why a handler could not be asked; the others are."""
    try:
        yield
    except Fault as fault:
        unread[name] = fault.message + (f" ({fault.advice})" if fault.advice else "")
    except JournalBroken:
        raise
    except Exception as error:  # a third party's handler may break its promise
        unread[name] = f"its use could not be read: {error!r}"


def _of_owners(
    system: System, by: str, instances: Collection[str]
) -> Mapping[Key, Sequence[Meter]]:
    """Return the use of the owners of objects, by one look at the file system that counts them."""
    owning: dict[Key, int] = {}
    for key, state in _states(system, instances).items():
        handler = system.handlers[split_key(key)[0]]
        uid = handler.owner(key, state) if able(handler, Counted) else None
        if uid is not None:
            owning[key] = uid
    instance, _, fileset = by.partition(":")
    counter = system.handlers.get(instance)
    if not able(counter, MetersUsers):
        raise Permanent("it reads no quotas of users", advice="see `provisioner config check`")
    if not owning:
        return {}
    users = counter.metered_users(fileset)
    return {key: users[uid] for key, uid in owning.items() if uid in users}


def _states(system: System, instances: Collection[str]) -> Mapping[Key, State]:
    keys = _ours(system, instances)
    with system.journal.reading() as conn:
        return object_rows.states(conn, keys)


def _ours(system: System, instances: Collection[str]) -> Sequence[Key]:
    """Return the objects of instances, except what is another's, whoever asked for it."""
    with system.journal.reading() as conn:
        keys = object_rows.all_keys(conn, instances)
        foreign = object_rows.never_ours(conn, keys)
    return [key for key in keys if key not in foreign]


def _path(system: System, key: Key, state: State | None) -> str:
    try:
        return str(system.outputs_of(split_key(key)[0], state or {}).get("path") or "")
    except Fault:
        return ""


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
    ids = _provided(conn, subject)
    project = _project(conn, ids)
    code = str(project.get("code") or "")
    if kind == "allocation" and code:
        project = _project(conn, [*ids, *_provided(conn, f"project:{code}")])
    managers = tuple(map(str, project.get("managers") or ()))
    return Owner(subject, str(project.get("pi") or ""), "pi", code, managers, next(iter(ids), None))


def _provided(conn: Connection, subject: str) -> list[RequestId]:
    """Return the newest request that was done for an allocation or a project, in a list."""
    action = _PROVIDING.get(subject.partition(":")[0])
    return rights.provided(conn, subject, action) if action else []


def _project(conn: Connection, ids: Collection[RequestId]) -> Mapping[str, Any]:
    """Return the project as the newest of some requests says."""
    for _, record in sorted(request_rows.load(conn, ids).items(), reverse=True):
        with suppress(InvalidDocument, Fault):
            return crowds.whole(record.body, record.listed).values.get("project") or {}
    return {}
