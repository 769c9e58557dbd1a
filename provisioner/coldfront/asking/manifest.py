"""The manifest: all that should be, in one file of lines, beside a small request that names it.

Promises: the file is whole and on disk before the request is; what is in it was read after
`as_of`; what is said in it for the first time, or otherwise than before, or again as it went wrong,
is a row of the outbox as an event makes one, and the line has its id; what a manifest says again
and again keeps one row of those that went wrong; what lacks something today stands in it as it
was asked for last, without those who are out. Leaves out: the comparison, which is the service's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from provisioner.coldfront.asking import earlier, mapping, options, outbox, snapshots
from provisioner.coldfront.asking.wanted import Wanted
from provisioner.coldfront.models import LISTED, MENDABLE, NEW, PROMISED, WRITTEN, Request
from provisioner.spool.submit import drop, drop_companion

KEY = "reconcile"


@dataclass(frozen=True, slots=True)
class Line:
    """What is wanted of one subject.

    key: the order of what is said of it; about: a row's columns.
    """

    subject: str
    key: str
    wanted: Wanted
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is wanted now. own: rows of lines that have an id of their own, by key."""

    as_of: datetime
    lines: tuple[Line, ...]
    own: Mapping[str, Request] = field(default_factory=dict)

    @property
    def listed(self) -> int:
        """Count the subjects that are listed."""
        return sum(line.wanted.document is not None for line in self.lines)

    @property
    def emptied(self) -> set[str]:
        """Name the kinds of subjects of which it lists none: nobody has any of them any more."""
        kinds = {"user", "allocation"} | ({"project"} if options.mapping().projects else set())
        listed = {
            line.subject.partition(":")[0]
            for line in self.lines
            if line.wanted.document is not None
        }
        return kinds - listed

    @property
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        """Say what somebody has to fill in, by subject."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.lines:
            if one.wanted.problems:
                # Two projects of one code are one subject.
                found[one.subject] = (*found.get(one.subject, ()), *one.wanted.problems)
        return found

    def body(self) -> bytes:
        """Write it as JSON Lines."""
        return b"".join(
            json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            for document in self._documents()
        )

    def _documents(self) -> Iterator[Mapping[str, Any]]:
        for line in self.lines:
            row = self.own.get(line.key)
            if row is not None and row.body:
                document = json.loads(row.body)
                del document["provisioner"]
                yield document
            elif line.wanted.document is not None:
                yield line.wanted.document


def read() -> Manifest:
    """Read all that should be, of one moment where the database can do that."""
    as_of = datetime.now(UTC)
    with transaction.atomic():
        if connection.vendor in ("postgresql", "mysql"):
            # Each statement would else see what was committed until it began.
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        people: dict[str, mapping.Person] = {}
        allocations = list(_allocations(people))
        projects = list(_projects(people))
        # Who was asked for once stays, in no allocation too: an account is closed by hand.
        people |= {one.name: one for one in snapshots.people(earlier.people() - people.keys())}
    return Manifest(as_of, (*_people(people), *projects, *allocations))


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest in staging. number: its request's; name: its file's."""

    number: int
    name: str
    manifest: Manifest


def send() -> Sent:
    """Put the manifest and its request into staging.

    Raises ConfigError or OSError when staging does not take them; nothing is left of it then, as
    the next manifest says more.
    """
    row = Request.objects.create(event=_COMMAND, key=KEY, subject="site:", action="reconcile")
    event = _event(row.number)
    try:
        manifest = _read_with_ids(event)
        name = _drop(row, manifest)
    except BaseException:
        Request.objects.filter(event=event, state=NEW).delete()
        Request.objects.filter(pk=row.pk, state=NEW).delete()
        raise
    outbox.mark_written(row)
    _keep(manifest.own.values())
    _replace(manifest.own, row.number)
    _note_access(event, manifest)
    return Sent(row.number, name, manifest)


def unsay(number: int) -> None:
    """Forget what a manifest said that the service never followed: it is said again."""
    event = _event(number)
    # An event that said the same as a row was added to what the row came from.
    said = Request.objects.filter(Q(event=event) | Q(event__startswith=f"{event},"))
    said.filter(state__in=(WRITTEN, PROMISED, LISTED)).delete()


def followed(number: int) -> None:
    """Note that the service has followed a manifest: who was left out is shut out now."""
    outbox.followed(_event(number))


_COMMAND = "provisioner_reconcile"


def _event(number: int) -> str:
    return f"{_COMMAND} {outbox.request_id(number)}"


def _drop(row: Request, manifest: Manifest) -> str:
    """Put a manifest, and then its request, into staging; return the manifest's name there."""
    body = manifest.body()
    name = drop_companion(options.staging(), f"{outbox.request_id(row.number)}.jsonl", body)
    document: dict[str, Any] = {
        "provisioner": 1,
        "action": "reconcile",
        "id": outbox.request_id(row.number),
        "order": {"key": KEY, "number": row.number},
        "as_of": manifest.as_of.isoformat(),
        "manifest": {
            "file": name,
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        },
    }
    if manifest.emptied:
        # Else the service takes it that nothing is said of them.
        document["kinds"] = sorted(manifest.emptied)
    row.body = json.dumps(document)
    drop(options.staging(), f"{outbox.request_id(row.number)}.json", row.body.encode())
    return name


# Lines with an id: rows of the outbox, as those that events make.


def _read_with_ids(event: str) -> Manifest:
    """Read all that should be; what was not said before, or not so, gets a row and its number.

    A row has its number before ColdFront is read for it: what is news is therefore read twice.
    """
    manifest = read()
    news = _news(manifest.lines)
    if not news:
        return manifest
    Request.objects.bulk_create(Request(event=event, key=one.key, **one.about) for one in news)
    # Not every database tells the numbers of rows that were made together.
    reserved = {row.key: row for row in Request.objects.filter(event=event)}
    manifest = read()
    own = {}
    for line in _news(manifest.lines):
        if line.key in reserved:
            own[line.key] = reserved.pop(line.key)
            own[line.key].project = line.about.get("project")
            outbox.fill(own[line.key], line.wanted, line.subject)
    _forget(reserved.values())
    return Manifest(manifest.as_of, manifest.lines, own)


def _news(lines: Iterable[Line]) -> list[Line]:
    listed = list(lines)
    latest = earlier.last(line.key for line in listed)
    return [line for line in listed if outbox.is_news(line.wanted, latest.get(line.key))]


def _forget(rows: Iterable[Request]) -> None:
    numbers = [row.pk for row in rows]
    for start in range(0, len(numbers), 500):
        Request.objects.filter(pk__in=numbers[start : start + 500]).delete()


def _keep(rows: Iterable[Request]) -> None:
    """Save rows whose lines are in staging. What a kill leaves undone is said anew (`mend`)."""
    now = timezone.now()
    kept = list(rows)
    for row in kept:
        if row.body:
            row.state, row.written = WRITTEN, now
    outbox.save(kept)


def _replace(said: Iterable[str], number: int) -> None:
    """Remove what earlier manifests said of what is said again, and what went wrong.

    said: keys; number: the manifest's own, theirs being greater. What somebody steered stays.
    """
    steered = Request.objects.filter(of__isnull=False).values("of")
    keys = list(said)
    for start in range(0, len(keys), 500):
        Request.objects.filter(
            key__in=keys[start : start + 500],
            state__in=MENDABLE,
            event__startswith=f"{_COMMAND} ",
            number__lt=number,
        ).exclude(number__in=steered).delete()


def _note_access(event: str, manifest: Manifest) -> None:
    """Remember whom the service will suspend and resume, for when it has done so."""
    listed = {
        line.about["allocation"]
        for line in manifest.lines
        if "allocation" in line.about and line.wanted.document is not None
    }
    asked = Request.objects.filter(action="allocation.provision").exclude(body="")
    ever = set(asked.order_by().values_list("allocation", flat=True).distinct())
    outbox.note_listed(event, sorted(listed), sorted(ever - listed))


# What is wanted.


def _allocations(people: dict[str, mapping.Person]) -> Iterator[Line]:
    chosen = options.mapping()
    found = []
    for facts in snapshots.allocations(snapshots.entitled()):
        wanted = mapping.provision(facts, chosen)
        if wanted is None:
            continue
        people |= {person.name: person for person in facts.users}
        key = mapping.key_of("allocation", facts.pk)
        about = {"allocation": facts.pk, "project": facts.project.pk}
        found.append(Line(f"allocation:{facts.pk}", key, wanted, about))
    yield from _carried_out("allocation", found)


def _people(people: Mapping[str, mapping.Person]) -> Iterator[Line]:
    for name, person in sorted(people.items()):
        wanted = mapping.provision_user(person)
        yield Line(f"user:{name}", mapping.key_of("user", name), wanted, {"user": name})


def _projects(people: dict[str, mapping.Person]) -> Iterator[Line]:
    chosen = options.mapping()
    if not chosen.projects:
        return
    found = []
    for facts in snapshots.projects(snapshots.living_projects()):
        wanted = mapping.provision_project(facts, chosen)
        people |= {person.name: person for person in facts.people}
        key = mapping.key_of("project", facts.pk)
        subject = f"project:{mapping.project_code(facts, chosen)}"
        found.append(Line(subject, key, wanted, {"project": facts.pk}))
    yield from _carried_out("project", found)


def _carried_out(part: str, lines: Sequence[Line]) -> Iterator[Line]:
    """Have removals carried out of what lacks something today."""
    said = earlier.carried_out(part, {line.key: line.wanted for line in lines})
    return (replace(line, wanted=said[line.key]) for line in lines)
