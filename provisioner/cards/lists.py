"""Lists of what the ledger has: people, projects, allocations, resources; when access ends.

Promises: reads the journal only, so that a list comes at once while a backend is away. Leaves out:
what the backends have (`objects`).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.cards import ends, places
from provisioner.cards.places import Place
from provisioner.journal.journal import Connection
from provisioner.journal.queries import dates, subjects
from provisioner.outcome.results import moment
from provisioner.wiring import System

Row = dict[str, Any]
"""One entry: what is printed of it, by column."""


def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a key that sorts names as people count: 41 before 401."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((not p[0].isdecimal(), int(p) if p[0].isdecimal() else 0, p) for p in parts)


def users(system: System) -> list[Row]:
    """Return everybody for whom something is claimed, or who is suspended."""
    with system.journal.reading() as conn:
        ledger = _ledger(conn)
    rows = []
    for subject in sorted({*ledger.of_user, *ledger.closed_of("user")}):
        around = ledger.of_user.get(subject, set())
        own = [ledger.places[root] for root in around if root in ledger.places]
        codes = {place.code for place in own if place.code}
        codes |= {root.partition(":")[2] for root in around if root.startswith("project:")}
        rows.append(
            {
                "user": subject.partition(":")[2],
                "suspended": ledger.closed.get(subject, []),
                "projects": sorted(codes),
                "allocations": sorted((place.allocation for place in own), key=natural),
                "resources": sorted({place.resource for place in own if place.resource}),
            }
        )
    return rows


def projects(system: System) -> list[Row]:
    """Return the projects that are claimed, or that an allocation names."""
    with system.journal.reading() as conn:
        ledger = _ledger(conn)
        own = places.projects(conn)
    rows: dict[str, Row] = {}
    for code in sorted({*own, *(place.code for place in ledger.places.values() if place.code)}):
        around = {root: place for root, place in ledger.places.items() if place.code == code}
        said = [own[code]] if code in own else []
        said += around.values()
        people = ledger.people.get(f"project:{code}", set())
        rows[code] = {
            "project": code,
            "title": next((place.title for place in said if place.title), ""),
            "pi": next((place.pi for place in said if place.pi), ""),
            "people": sorted(people.union(*(ledger.people.get(root, ()) for root in around))),
            "allocations": sorted((p.allocation for p in around.values()), key=natural),
            "resources": sorted({place.resource for place in around.values() if place.resource}),
            "suspended": ledger.closed.get(f"project:{code}", []),
        }
    return list(rows.values())


def allocations(system: System) -> list[Row]:
    """Return the allocations for which something is claimed."""
    with system.journal.reading() as conn:
        ledger = _ledger(conn)
    return [
        {
            "allocation": place.allocation,
            "resource": place.resource,
            "project": place.code,
            "title": place.title,
            "pi": place.pi,
            "people": sorted(ledger.people.get(root, ())),
            "suspended": ledger.closed.get(root, []),
        }
        for root, place in sorted(ledger.places.items(), key=lambda pair: natural(pair[0]))
    ]


def resources(system: System) -> list[Row]:
    """Return the resources of the configuration, with what uses each."""
    with system.journal.reading() as conn:
        ledger = _ledger(conn)
    rows = []
    for name, resource in system.config.resources.items():
        using = [root for root, place in ledger.places.items() if place.resource == name]
        people = set().union(*(ledger.people.get(root, ()) for root in using))
        rows.append(
            {
                "resource": name,
                "handlers": list(resource.handlers),
                "kinds": [system.kinds.get(one, "") for one in resource.handlers],
                "allocations": len(using),
                "people": len(people),
            }
        )
    return rows


def ending(system: System) -> list[Row]:
    """Return when access ends, as requests said, the next first."""
    rows = []
    with system.journal.reading() as conn:
        ledger = _ledger(conn)
        for end in dates.ends_until(conn, math.inf):
            root, _, leaf = end.subject.partition("/")
            one = (leaf or root).partition("user:")[2]
            project, resource = ends.place(conn, end)
            rows.append(
                {
                    "ends": moment(end.at),
                    "subject": end.subject,
                    "people": [one] if one else sorted(ledger.people.get(root, ())),
                    "project": project,
                    "resource": resource,
                    "suspended": ledger.closed.get(leaf or root, []),
                    "writer": end.writer,
                    "request": end.request,
                }
            )
    return rows


def codes(conn: Connection) -> set[str]:
    """Return the codes of the projects that allocations name."""
    return {place.code for place in places.places(conn).values()}


LISTS: Mapping[str, Callable[[System], list[Row]]] = {
    "users": users,
    "projects": projects,
    "allocations": allocations,
    "resources": resources,
    "ends": ending,
}
"""What can be listed."""


class _Ledger:
    """Who is where. of_user: subjects around a person; people: names in a subject; closed: causes
    by suspended subject; places: allocations with claims.
    """

    def __init__(self, conn: Connection) -> None:
        self.of_user: dict[str, set[str]] = defaultdict(set)
        self.people: dict[str, set[str]] = defaultdict(set)
        self.closed: dict[str, list[str]] = defaultdict(list)
        roots = set()
        for root, leaf in subjects.everybody(conn):
            roots.add(root)
            if leaf.startswith("user:"):
                around = self.of_user[leaf]
                if root != leaf:
                    around.add(root)
                    self.people[root].add(leaf.partition(":")[2])
        for one in subjects.every_suspension(conn):
            self.closed[one.subject].append(f"{one.source}: {one.cause}")
        known: dict[str, Place] = places.places(conn)
        self.places = {root: place for root, place in known.items() if root in roots}

    def closed_of(self, kind: str) -> list[str]:
        """Return the suspended subjects of a kind."""
        return [subject for subject in self.closed if subject.startswith(f"{kind}:")]


def _ledger(conn: Connection) -> _Ledger:
    return _Ledger(conn)
