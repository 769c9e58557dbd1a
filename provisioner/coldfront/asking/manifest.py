"""The manifest: everything that ColdFront wants, in one file of lines, and a request that names it.

Promises: the whole file is on disk before its request; its content was read after `as_of`. A line
gets a row in the outbox, and the row's id, if it is new, differs from the last row, or the last row
went wrong. Of rows that went wrong, repeated manifests keep the first and the last of each line. A
subject that is incomplete today appears as in its last request, without the users who left. Leaves
out: the comparison; the service makes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from provisioner.coldfront.asking import earlier, mapping, options, outbox, sending
from provisioner.coldfront.asking.portal import portal
from provisioner.coldfront.asking.wanted import Wanted
from provisioner.coldfront.models import NEW, RETRYABLE, WHOLE, WRITTEN, Request
from provisioner.spool.submit import drop, drop_companion

KEY = "reconcile"


@dataclass(frozen=True, slots=True)
class Line:
    """What ColdFront wants for one subject.

    key: the key that orders its requests; about: columns of its row.
    """

    subject: str
    key: str
    wanted: Wanted
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ColdFront wants now. own: the rows of lines that have their own id, by key."""

    as_of: datetime
    lines: tuple[Line, ...]
    own: Mapping[str, Request] = field(default_factory=dict)

    @property
    def listed(self) -> int:
        """Return the number of subjects that have a line."""
        return sum(line.wanted.document is not None for line in self.lines)

    @property
    def emptied(self) -> set[str]:
        """Return the kinds of subjects that have no line, because ColdFront wants none of them."""
        kinds = {"user", "allocation"} | ({"project"} if options.mapping().projects else set())
        listed = {
            line.subject.partition(":")[0]
            for line in self.lines
            if line.wanted.document is not None
        }
        return kinds - listed

    @property
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        """Return what somebody has to fill in or correct in ColdFront, by subject."""
        by_subject: dict[str, tuple[str, ...]] = {}
        for line in self.lines:
            if line.wanted.problems:
                # Two projects with the same code are one subject.
                by_subject[line.subject] = (
                    *by_subject.get(line.subject, ()),
                    *line.wanted.problems,
                )
        return by_subject

    def body(self) -> bytes:
        """Return the manifest as JSON Lines."""
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
    """Read everything that ColdFront wants, in one snapshot if the database supports it."""
    as_of = datetime.now(UTC)
    with transaction.atomic():
        if connection.vendor in ("postgresql", "mysql"):
            # Otherwise each statement would see what was committed before it began.
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        people: dict[str, mapping.Person] = {}
        allocations = list(_allocations(people))
        projects = list(_projects(people))
        # Users who once had a request stay, even in no allocation: people close accounts by hand.
        people |= {
            person.name: person for person in portal().people(earlier.people() - people.keys())
        }
    return Manifest(as_of, (*_people(people), *projects, *allocations))


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest in staging. number: of its request; name: of its file."""

    number: int
    name: str
    manifest: Manifest


def send() -> Sent:
    """Write the manifest and its request to staging; return what was sent.

    Raises ConfigError or OSError when it cannot write them, and then deletes the rows: the next
    manifest is newer.
    """
    sending.stop_if_behind()
    row = Request.objects.create(event=_COMMAND, key=KEY, subject="site:", action="reconcile")
    event = _event(row.number)
    try:
        manifest = _read_with_ids(event)
        _say_access(manifest)
        name = _drop(row, manifest)
    except BaseException:
        Request.objects.filter(event=event, state=NEW).delete()
        Request.objects.filter(pk=row.pk, state=NEW).delete()
        raise
    sending.mark_written(row)
    _keep(manifest.own.values())
    _replace(manifest.own, row.number)
    return Sent(row.number, name, manifest)


def forget_unfollowed(number: int) -> None:
    """Delete the rows of a manifest that the service did not carry out; they are sent again."""
    event = _event(number)
    # An event that wanted the same as an existing row was appended to that row's event.
    rows = Request.objects.filter(Q(event=event) | Q(event__startswith=f"{event},"))
    rows.filter(state=WRITTEN).delete()


_COMMAND = "provisioner_reconcile"


def _event(number: int) -> str:
    return f"{_COMMAND} {outbox.request_id(number)}"


def _drop(row: Request, manifest: Manifest) -> str:
    """Write a manifest, and then its request, to staging; return the manifest's file name."""
    body = manifest.body()
    name = drop_companion(options.staging(), f"{outbox.request_id(row.number)}.jsonl", body)
    document: dict[str, Any] = {
        "provisioner": 1,
        "action": "reconcile",
        "id": outbox.request_id(row.number),
        "order": {"key": KEY, "number": row.number},
        "as_of": manifest.as_of.isoformat(),
        "since": row.number,
        "manifest": {
            "file": name,
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        },
    }
    if manifest.emptied:
        # Otherwise the service assumes that the manifest does not cover these kinds.
        document["kinds"] = sorted(manifest.emptied)
    row.body = json.dumps(document)
    drop(options.staging(), f"{outbox.request_id(row.number)}.json", row.body.encode())
    return name


# Lines with an id: rows of the outbox, like those of events.


def _read_with_ids(event: str) -> Manifest:
    """Return the manifest, with a row and its number for each line that is news.

    A row must have its number before ColdFront is read for it, so news is read twice.
    """
    manifest = read()
    news = _news(manifest.lines)
    if not news:
        return manifest
    Request.objects.bulk_create(Request(event=event, key=line.key, **line.about) for line in news)
    # Not every database returns the numbers of rows that one statement inserted.
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
    """Save rows whose lines are in staging; after a kill, `finish_notes` makes them again."""
    now = timezone.now()
    kept = list(rows)
    for row in kept:
        if row.body:
            row.state, row.written = WRITTEN, now
    outbox.save(kept)


def _replace(keys: Iterable[str], number: int) -> None:
    """Delete rows of earlier manifests that went wrong and that this manifest repeats.

    keys: of this manifest's rows; number: of the manifest, below those of its rows. Kept are a row
    for which somebody sent a control request, and the first one since the subject was last done: it
    says since when the subject is not as ColdFront has it.
    """
    steered = Request.objects.filter(of__isnull=False).values("of")
    listed = list(keys)
    for start in range(0, len(listed), 500):
        same = Request.objects.filter(
            key__in=listed[start : start + 500], number__lt=number, of=None
        )
        wrong = same.filter(state__in=RETRYABLE, event__startswith=f"{_COMMAND} ")
        done = dict(same.filter(WHOLE).order_by().values_list("key").annotate(last=Max("number")))
        first: dict[str, int] = {}
        for key, one in wrong.order_by("number").values_list("key", "number"):
            if one > done.get(key, 0):
                first.setdefault(key, one)
        wrong.exclude(number__in=steered).exclude(number__in=list(first.values())).delete()


def _say_access(manifest: Manifest) -> None:
    """Ask for suspensions and resumes of which no event has told, by requests of their own.

    The service would suspend what a manifest leaves out, too, but answers nothing about it. Each of
    those may be held, refused or late.
    """
    listed = {
        line.about["allocation"]: line.about["project"]
        for line in manifest.lines
        if "allocation" in line.about and line.wanted.document is not None
    }
    requested = Request.objects.filter(action="allocation.provision").exclude(body="")
    ever = set(requested.order_by().values_list("allocation", flat=True).distinct())
    latest = earlier.last(outbox.access_key(pk) for pk in {*ever, *listed})
    for pk in sorted(ever - listed.keys()):
        if _is_due("allocation.suspend", latest.get(outbox.access_key(pk))):
            outbox.allocation(pk, _COMMAND)
    for pk, project in sorted(listed.items()):
        if _is_due("allocation.resume", latest.get(outbox.access_key(pk))):
            outbox.readmit(pk, project, _COMMAND)
    sending.flush()


def _is_due(action: str, before: Request | None) -> bool:
    """Return True if access has to be asked for. before: what was last asked for it."""
    if before is None:
        return action == "allocation.suspend"
    return before.action != action or before.state in RETRYABLE


# What is wanted.


def _allocations(people: dict[str, mapping.Person]) -> Iterator[Line]:
    lines = []
    for facts in portal().allocations(portal().entitled()):
        if facts.wanted is None:
            continue
        people |= {person.name: person for person in facts.users}
        key = mapping.key_of("allocation", facts.pk)
        about = {"allocation": facts.pk, "project": facts.project}
        lines.append(Line(options.allocation(facts.pk), key, facts.wanted, about))
    yield from _with_removals("allocation", lines)


def _people(people: Mapping[str, mapping.Person]) -> Iterator[Line]:
    for name, person in sorted(people.items()):
        wanted = mapping.provision_user(person)
        yield Line(f"user:{name}", mapping.key_of("user", name), wanted, {"user": name})


def _projects(people: dict[str, mapping.Person]) -> Iterator[Line]:
    if not options.mapping().projects:
        return
    lines = []
    for facts in portal().projects(portal().living_projects()):
        people |= {person.name: person for person in facts.people}
        key = mapping.key_of("project", facts.pk)
        lines.append(Line(f"project:{facts.code}", key, facts.wanted, {"project": facts.pk}))
    yield from _with_removals("project", lines)


def _with_removals(part: str, lines: Sequence[Line]) -> Iterator[Line]:
    """Return the lines; an incomplete subject's line only removes users who left."""
    amended = earlier.with_removals(part, {line.key: line.wanted for line in lines})
    return (replace(line, wanted=amended[line.key]) for line in lines)
