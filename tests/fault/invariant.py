"""Nothing lost: what must be true of a site after any crash, read only from disk and journal.

Promises: every file that was dropped is one request with one outcome; its file is in one place,
with a result and a receipt that agree; nothing is due any more. It does not ask the engine: it
reads the tables by name, and the directories directly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support import databases

PLACES = {
    "accepted": "active",
    "deferred": "deferred",
    "scheduled": "deferred",
    "held": "held",
    "done": "done",
    "superseded": "done",
    "failed": "failed",
    "refused": "failed",
    "cancelled": "failed",
}
ENDED = ("done", "failed", "refused", "cancelled", "superseded")
RESULT = ".result.yaml"


@dataclass(frozen=True)
class Row:
    """A request as the journal has it."""

    id: str
    name: str
    writer: str
    writer_id: str | None
    state: str
    digest: str
    fixed_by: str | None


def rows(root: Path) -> list[Row]:
    """Return all requests, oldest first."""
    columns = "id, name, writer, writer_id, state, digest, fixed_by"
    found = databases.ask(root, f"select {columns} from requests order by id")
    return [Row(*row) for row in found]


def files(root: Path) -> dict[str, list[str]]:
    """Return the entries of each place."""
    spool = root / "spool"
    places = ("staging", *dict.fromkeys(PLACES.values()), "quarantine")
    return {place: sorted(path.name for path in (spool / place).iterdir()) for place in places}


def violations(
    root: Path, ids: Iterable[str], *, ended: bool = True, receipts: bool = True
) -> list[str]:
    """Return what is not as it must be. ids: `id` of each request that a writer was told is in;
    ended: everything should be over; receipts: every writer should have been told."""
    requests = rows(root)
    entries = files(root)
    return [
        *_of_writers(requests, ids),
        *_of_places(requests, entries),
        *_of_results(root, requests, entries),
        *(_of_receipts(root, requests) if receipts else ()),
        *(_of_ends(root, requests) if ended else ()),
    ]


def _of_writers(found: list[Row], ids: Iterable[str]) -> Iterable[str]:
    """Each file that is in is one request."""
    times = Counter(row.writer_id for row in found)
    for one in ids:
        if times[one] != 1:
            yield f"{one}: is {times[one]} requests, not one"


def _of_places(requests: list[Row], entries: Mapping[str, list[str]]) -> Iterable[str]:
    """Each request's file is in the one place of its state, and no other file is anywhere."""
    where: dict[str, list[str]] = {}
    for place, names in entries.items():
        for name in names:
            if name.startswith("."):  # half written: removed when it is a minute old
                continue
            if place == "staging":
                yield f"staging/{name}: was not taken"
            elif not name.endswith(RESULT):
                where.setdefault(name[:26], []).append(place)
    for row in requests:
        places = where.pop(row.id, [])
        # What was put right, dismissed, or refused once more waits for nobody.
        wanted = [PLACES["done" if row.fixed_by is not None else row.state]]
        if row.state == "refused" and not row.digest:
            wanted = places if places in (["failed"], ["quarantine"]) else wanted
        # A refused file that was tried again went back through staging, as another request.
        if row.state == "refused" and row.digest and not places:
            continue
        if places != wanted:
            yield f"{row.id} ({row.writer_id}) is {row.state}, and its file is in {places}"
    for ulid, places in where.items():
        yield f"{ulid} in {places} is no request"


def _of_results(root: Path, requests: list[Row], entries: Mapping[str, list[str]]) -> Iterable[str]:
    """A request that is over has one result, which says its outcome; an open one has none."""
    results = {
        name[:26]: (place, name)
        for place, names in entries.items()
        for name in names
        if name.endswith(RESULT)
    }
    count = sum(name.endswith(RESULT) for names in entries.values() for name in names)
    if count != len(results):
        yield f"{count} results of {len(results)} requests"
    present = {name[:26] for place in entries for name in entries[place] if place != "staging"}
    for row in requests:
        place, name = results.get(row.id, ("", ""))
        if row.state not in ENDED:
            if name:
                yield f"{row.id} ({row.writer_id}) is {row.state}, and has a result in {place}"
        elif row.id in present:
            said = _said(root / "spool" / place / name) if name else {}
            if said.get("outcome") != row.state:
                yield f"{row.id} ({row.writer_id}) is {row.state}; its result: {said or 'none'}"


def _of_receipts(root: Path, found: list[Row]) -> Iterable[str]:
    """The writer can read how the newest request of each id stands."""
    newest = {row.writer_id or row.id: row for row in found}
    for name, row in newest.items():
        path = root / "spool/receipts" / row.writer / f"{name}.yaml"
        said = _said(path)
        if said.get("state") != row.state:
            yield f"{row.id} ({name}) is {row.state}; its receipt says {said.get('state')}"


def _said(path: Path) -> dict[str, object]:
    """Return what a file says; nothing if it is not there, or is moved just now."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    return yaml.load(text, yaml.CSafeLoader) or {}


def _of_ends(root: Path, found: list[Row]) -> Iterable[str]:
    """Everything has its outcome, once more than it was tried again, and nothing is due."""
    for row in found:
        if row.state not in ENDED:
            yield f"{row.id} ({row.writer_id}) is {row.state}"
    [[due]] = databases.ask(root, "select count(*) from objects where due is not null")
    [[open_steps]] = databases.ask(
        root,
        "select count(*) from step_objects where state in ('due', 'waiting')"
        " and request in (select id from requests where state = 'done')",
    )
    if due:
        yield f"{due} objects are due"
    if open_steps:
        yield f"{open_steps} objects of requests that are done are not"


def outcomes(root: Path) -> Counter[str]:
    """Return how many outcomes the journal's events record for each request."""
    marks = ",".join("?" * len(ENDED))
    statement = (
        "select request, count(*) from events where request is not null"
        f" and kind in ({marks}) group by request"
    )
    return Counter(dict(databases.ask(root, statement, ENDED)))
