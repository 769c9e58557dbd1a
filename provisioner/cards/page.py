"""The site on one page: who serves it, what it has, what waits, what is wrong.

Promises: reads the journal and the spool only, so that it comes at once while a backend is away.
Leaves out: differences in backends (`drift`), and what may be wrong with the host (`doctor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cards import ends, lists
from provisioner.inspection import failures
from provisioner.journal.queries.dates import End
from provisioner.journal.records import object_rows, request_rows
from provisioner.objects.states import OPEN, RUNNING
from provisioner.wiring import System

LONG = 86400.0
"""Seconds after which a request that still waits is told."""


@dataclass(frozen=True, slots=True)
class Page:
    """What there is. counts: people, projects and allocations; suspended: people and allocations;
    by_resource, by_handler: allocations and objects; open, oldest: requests without an outcome, and
    the age of the oldest in seconds; long: those that have waited for more than a day; causes:
    causes of failures, with how many requests; away, paused: lanes; ends: access that ends soon,
    the next first; next_end: that one in words, '' if there is none.
    """

    service: str
    counts: Mapping[str, int]
    suspended: Mapping[str, int]
    by_resource: Mapping[str, int]
    by_handler: Mapping[str, int]
    open: int
    oldest: float | None
    long: int
    failed: int
    causes: int
    away: Mapping[str, str]
    paused: Mapping[str, str]
    ends: Sequence[End]
    next_end: str


def of(system: System, now: float) -> Page:
    """Return the page. now: seconds since the epoch."""
    people, projects = lists.users(system), lists.projects(system)
    allocations = lists.allocations(system)
    with system.journal.reading() as conn:
        keys = object_rows.all_keys(conn)
        by_handler = dict(Counter(object_rows.instances_of(conn, keys).values()))
        states = request_rows.counts(conn)
        oldest = request_rows.in_states(conn, OPEN, 1)
        long = request_rows.ids_in(conn, RUNNING, before=now - LONG)
        unfixed = failures.unfixed(conn)
        ending = ends.soon(conn, now)
        next_end = ends.words(conn, ending[0]) if ending else ""
        lanes = object_rows.lane_rows(conn)
    closable = {"people": people, "allocations": allocations}
    counted = {"people": people, "projects": projects, "allocations": allocations}
    return Page(
        service=system.config.service,
        counts={name: len(rows) for name, rows in counted.items()},
        suspended={
            name: sum(bool(row["suspended"]) for row in rows) for name, rows in closable.items()
        },
        by_resource=dict(Counter(row["resource"] for row in allocations)),
        by_handler=by_handler,
        open=sum(states.get(state, 0) for state in OPEN),
        oldest=now - oldest[0].accepted if oldest else None,
        long=len(long),
        failed=len(unfixed),
        causes=len(failures.causes(unfixed)),
        away=_away(lanes, now),
        paused={name: row["paused_by"] for name, row in lanes.items() if row["paused_by"]},
        ends=ending,
        next_end=next_end,
    )


def _away(lanes: Mapping[str, Mapping[str, Any]], now: float) -> dict[str, str]:
    return {
        name: str(row["breaker_reason"])
        for name, row in lanes.items()
        if (row["breaker_until"] or 0) > now
    }


def lines(page: Page, ages: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the page as lines, each with its colour; '' for none.

    ages: the age of the oldest request, as `oldest`.
    """
    counted = ", ".join(f"{what} {number}" for what, number in page.counts.items())
    closed = [f"{what} {number}" for what, number in page.suspended.items() if number]
    yield f"{counted}" + (f"; suspended: {', '.join(closed)}" if closed else ""), ""
    yield from _listed("allocations by resource", page.by_resource)
    yield from _listed("objects by handler", page.by_handler)
    if page.open:
        yield f"{_many(page.open)} open, the oldest {ages['oldest']}: provisioner queue", ""
    else:
        yield "no request is open", "green"
    if page.long:
        yield f"{_many(page.long)} waiting for more than a day: provisioner queue", "yellow"
    for lane, why in sorted(page.away.items()):
        yield f"lane {lane}: its backend is away: {why}", "red"
    for lane, who in sorted(page.paused.items()):
        yield f"lane {lane}: paused by {who}: provisioner unpause {lane}", "yellow"
    if page.ends:
        yield ends.sentence(len(page.ends), page.next_end), "yellow"
    if page.failed:
        causes = "1 cause" if page.causes == 1 else f"{page.causes} causes"
        yield f"{_many(page.failed)} failed or refused, {causes}: provisioner failed", "red"
    else:
        yield "nothing that failed or was refused needs a person", "green"


def _listed(what: str, numbers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if numbers:
        every = ", ".join(f"{name or '-'} {number}" for name, number in sorted(numbers.items()))
        yield f"{what}: {every}", ""


def _many(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
