"""Drift: objects that differ from what is wanted, and objects that no claim explains.

Promises: only reads; it distinguishes objects that the service would write, adopted objects that
differ, unreadable objects, and unclaimed objects. Unclaimed objects do not include what no request
may change (the system's names and those that policy protects) and what a handler's `inventory`
leaves out. Leaves out: fixing anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from provisioner.contract import Fault, Key, State
from provisioner.inspection import planning
from provisioner.inspection.planning import Standing
from provisioner.journal.records import object_rows
from provisioner.objects.states import Adoption
from provisioner.wiring import System

REPAIR = "provisioner drift --repair"
"""The command that has everything made as it is wanted."""


_KINDS: Mapping[str, str] = {
    "Conflict": "not ours: ",
    "NotReady": "not ready yet: ",
    "Permanent": "the backend refuses it: ",
    "Transient": "the backend refused it for now: ",
    "Unavailable": "the backend is away: ",
    "Unknown": "the backend did not answer: ",
}
"""What an error's type means, before its message."""


@dataclass(frozen=True, slots=True)
class Unexplained:
    """An existing object that no request claims."""

    key: Key
    instance: str
    state: State


@dataclass(frozen=True, slots=True)
class Drift:
    """All differences.

    changes: objects that the service would write; marks: the number of others that would only get
    our mark; left: adopted objects that differ; faults: objects with another error; seen: the
    number of objects that only an adoption explains; unread: handlers that could not be asked, or
    could not list their objects, and why.
    """

    changes: tuple[Standing, ...]
    marks: int
    left: tuple[Standing, ...]
    faults: tuple[Standing, ...]
    seen: int = 0
    unexplained: tuple[Unexplained, ...] = ()
    unread: Mapping[str, str] | None = None

    @property
    def nothing(self) -> bool:
        """Return True if every object is as wanted, and explained."""
        return not (self.changes or self.left or self.faults or self.unexplained or self.unread)


def known(system: System, instances: Collection[str] = ()) -> Drift:
    """Read the objects of the ledger from every backend, and return the differences.

    instances: the handlers to ask; empty: all.
    """
    changes: list[Standing] = []
    left: list[Standing] = []
    faults: list[Standing] = []
    marks = seen = 0
    for standing in planning.everything(system, instances):
        if standing.error is not None:
            (left if standing.error.type == "Differs" else faults).append(standing)
        elif standing.writes:
            changes.append(standing)
        elif standing.missing:
            marks += 1
        elif standing.adoption == Adoption.SEEN and not standing.claims:
            seen += 1
    gone = {} if instances else _gone(system)
    return Drift(tuple(changes), marks, tuple(left), tuple(faults), seen, unread=gone)


def _gone(system: System) -> dict[str, str]:
    """Return the handlers of known objects that are no longer configured, with the reason."""
    with system.journal.reading() as conn:
        counts = Counter(object_rows.instances_of(conn, object_rows.all_keys(conn)).values())
    return {
        instance: f"it is no longer configured; known objects of it: {count}"
        for instance, count in sorted(counts.items())
        if instance not in system.handlers
    }


def whole(system: System, instances: Collection[str] = ()) -> Drift:
    """Read the objects of the ledger, and everything else that exists, from every backend.

    instances: the handlers to ask; empty: all.
    """
    part = known(system, instances)
    with system.journal.reading() as conn:
        keys = set(object_rows.all_keys(conn))
    rest, unread = unexplained(system, keys, instances)
    unread = {**(part.unread or {}), **unread}
    return Drift(part.changes, part.marks, part.left, part.faults, part.seen, rest, unread)


def unexplained(
    system: System, known: Collection[Key], instances: Collection[str] = ()
) -> tuple[tuple[Unexplained, ...], dict[str, str]]:
    """Return the existing objects that are not known, and why some handlers could not list theirs.

    instances: the handlers to ask; empty: all.
    """
    rest: list[Unexplained] = []
    unread: dict[str, str] = {}
    for instance, handler in system.handlers.items():
        if instances and instance not in instances:
            continue
        try:
            listed = list(handler.inventory())
        except Fault as fault:
            unread[instance] = fault.message
            continue
        except Exception as error:  # a third party's handler may break its promise; ask the others
            unread[instance] = f"its inventory failed: {error!r}"
            continue
        rest += [
            Unexplained(key, instance, state)
            for key, state in listed
            if key not in known and not system.policy.protects(key)
        ]
    return tuple(sorted(rest, key=lambda item: item.key)), unread


def summary(drift: Drift) -> str:
    """Return the differences in one line."""
    closed = sum(standing.closes for standing in drift.changes)
    number = len(drift.changes)
    parts = ["1 object would be changed" if number == 1 else f"{number} objects would be changed"]
    parts += [f"{closed} of them closed or removed"] if closed else []
    parts += [f"{drift.marks} would only get our mark"] if drift.marks else []
    parts += [f"{len(drift.left)} were adopted and differ"] if drift.left else []
    parts += [f"{len(drift.faults)} have another error"] if drift.faults else []
    parts += [f"{len(drift.unexplained)} are unexplained"] if drift.unexplained else []
    parts += [f"{drift.seen} are known and left unchanged"] if drift.seen else []
    parts += [f"not read: {', '.join(drift.unread)}"] if drift.unread else []
    return "; ".join(parts)


def lines(drift: Drift) -> Iterator[str]:
    """Yield the differences as lines: what the service would do first, the summary last."""
    opened = [standing for standing in drift.changes if not standing.closes]
    closed = [standing for standing in drift.changes if standing.closes]
    for title, some in (("would be changed", opened), ("would be closed or removed", closed)):
        if some:
            yield f"{title}:"
            yield from (
                f"  {standing.key}: {'; '.join(standing.writes)}{_by(standing)}"
                for standing in some
            )
    for title, some in (
        ("were adopted and differ; left unchanged", list(drift.left)),
        ("have another error", list(drift.faults)),
    ):
        if some:
            yield f"{title}:"
            yield from (f"  {standing.key}: {_error(standing)}{_by(standing)}" for standing in some)
    if drift.unexplained:
        yield "unexplained:"
        yield from (f"  {standing.key}" for standing in drift.unexplained)
    for instance, why in (drift.unread or {}).items():
        yield f"{instance} could not be read: {why}"
    yield summary(drift)


def todo(drift: Drift) -> Iterator[str]:
    """Yield what to type to have differences fixed by a service that writes."""
    if drift.changes:
        yield f"to have this done now: {REPAIR}"
    if drift.left:
        yield "to change what was adopted and differs: provisioner adopt --differing"
    for advice in dict.fromkeys(one.error.advice for one in drift.faults if one.error):
        if advice:
            yield f"what to do about an error: {advice}"


def _error(standing: Standing) -> str:
    if standing.error is None:
        return ""
    message = standing.error.message.removeprefix(f"{standing.key}: ")
    return f"{_KINDS.get(standing.error.type, '')}{message}"


def _by(standing: Standing) -> str:
    writers = sorted({claim.source for claim in standing.claims if claim.source})
    return f" (asked for by {', '.join(writers)})" if writers else ""
