"""Drift: what is not as it is wanted, and what no claim explains.

Promises: reads only; what would be written, what was adopted and differs, what cannot be read, and
what nobody claims are told apart. Left out of what nobody claims is what no request may touch: the
system's names and those that policy protects, and what a handler's `inventory` leaves out. Leaves
out: mending.
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


@dataclass(frozen=True, slots=True)
class Unexplained:
    """An object that is there, and that nobody claims."""

    key: Key
    instance: str
    state: State


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs.

    changes: objects that would be written; marks: how many more would only be marked as ours; left:
    objects that were adopted, and differ; faults: objects that something else is wrong with; seen:
    how many are explained by an adoption alone; unread: handlers that could not be asked, or could
    not list what is there, and why.
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
        """Return True if all is as wanted, and explained."""
        return not (self.changes or self.left or self.faults or self.unexplained or self.unread)


def known(system: System) -> Drift:
    """Ask every backend for the objects of the ledger."""
    changes: list[Standing] = []
    left: list[Standing] = []
    faults: list[Standing] = []
    marks = seen = 0
    for one in planning.everything(system):
        if one.error is not None:
            (left if one.error.type == "Differs" else faults).append(one)
        elif one.writes:
            changes.append(one)
        elif one.missing:
            marks += 1
        elif one.adoption == Adoption.SEEN and not one.claims:
            seen += 1
    return Drift(tuple(changes), marks, tuple(left), tuple(faults), seen, unread=_gone(system))


def _gone(system: System) -> dict[str, str]:
    """Name handlers that objects are known of, and that are not configured any more."""
    with system.journal.reading() as conn:
        counts = Counter(object_rows.instances_of(conn, object_rows.all_keys(conn)).values())
    return {
        instance: f"it is no longer configured; known objects of it: {count}"
        for instance, count in sorted(counts.items())
        if instance not in system.handlers
    }


def whole(system: System) -> Drift:
    """Ask every backend for the objects of the ledger, and for all that is there."""
    part = known(system)
    with system.journal.reading() as conn:
        keys = set(object_rows.all_keys(conn))
    found, unread = unexplained(system, keys)
    unread = {**(part.unread or {}), **unread}
    return Drift(part.changes, part.marks, part.left, part.faults, part.seen, found, unread)


def unexplained(
    system: System, known: Collection[Key], instances: Collection[str] = ()
) -> tuple[tuple[Unexplained, ...], dict[str, str]]:
    """List what is there and not known, and the handlers that could not say, with the reason.

    instances: handlers to ask; none: all.
    """
    found: list[Unexplained] = []
    unread: dict[str, str] = {}
    for instance, handler in system.handlers.items():
        if instances and instance not in instances:
            continue
        try:
            listed = list(handler.inventory())
        except Fault as fault:
            unread[instance] = fault.message
            continue
        except Exception as error:  # another's handler may break its promise, and hides no other
            unread[instance] = f"its inventory failed: {error!r}"
            continue
        found += [
            Unexplained(key, instance, state)
            for key, state in listed
            if key not in known and not system.policy.protects(key)
        ]
    return tuple(sorted(found, key=lambda one: one.key)), unread


def told(drift: Drift) -> str:
    """Put it into a line."""
    closed = sum(one.closes for one in drift.changes)
    parts = [f"{len(drift.changes)} objects would be changed"]
    parts += [f"{closed} of them closed or removed"] if closed else []
    parts += [f"{drift.marks} would only get our mark"] if drift.marks else []
    parts += [f"{len(drift.left)} were adopted and differ"] if drift.left else []
    parts += [f"{len(drift.faults)} have another error"] if drift.faults else []
    parts += [f"{len(drift.unexplained)} are unexplained"] if drift.unexplained else []
    parts += [f"{drift.seen} are known and left unchanged"] if drift.seen else []
    parts += [f"not read: {', '.join(drift.unread)}"] if drift.unread else []
    return "; ".join(parts)


def lines(drift: Drift) -> Iterator[str]:
    """Put it into lines for a person, what would be done first, and its sum last."""
    opened = [one for one in drift.changes if not one.closes]
    closed = [one for one in drift.changes if one.closes]
    for title, some in (("would be changed", opened), ("would be closed or removed", closed)):
        if some:
            yield f"{title}:"
            yield from (f"  {one.key}: {'; '.join(one.writes)}{_by(one)}" for one in some)
    for title, some in (
        ("were adopted and differ; left unchanged", list(drift.left)),
        ("have another error", list(drift.faults)),
    ):
        if some:
            yield f"{title}:"
            yield from (f"  {one.key}: {_error(one)}{_by(one)}" for one in some)
    if drift.unexplained:
        yield "unexplained:"
        yield from (f"  {one.key}" for one in drift.unexplained)
    for instance, why in (drift.unread or {}).items():
        yield f"{instance} could not be read: {why}"
    yield told(drift)


def _error(one: Standing) -> str:
    if one.error is None:
        return ""
    message = one.error.message.removeprefix(f"{one.key}: ")
    return message if one.error.type == "Differs" else f"{one.error.type}: {message}"


def _by(one: Standing) -> str:
    writers = sorted({claim.source for claim in one.claims if claim.source})
    return f" (asked for by {', '.join(writers)})" if writers else ""
