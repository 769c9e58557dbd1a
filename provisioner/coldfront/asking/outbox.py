"""The outbox: what ColdFront says now, as a row, and the row as a file in staging.

Promises: a row has its number before ColdFront is read for it, so that of two snapshots of one
thing the higher number is the newer; what staging does not take stays a row, and is written later.
What was said last is not said again. Leaves out: who calls when (`signals`, the commands).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, When
from django.utils import timezone
from django.utils.crypto import salted_hmac

from provisioner.coldfront.asking import earlier, files, mapping, options, snapshots
from provisioner.coldfront.asking.wanted import Wanted, project_code, without_leavers
from provisioner.coldfront.models import (
    INCOMPLETE,
    LISTED,
    MENDABLE,
    NEW,
    PROMISED,
    WRITTEN,
    Request,
)
from provisioner.contract import ConfigError
from provisioner.spool.submission import LIMIT

log = logging.getLogger(__name__)

_EVENTS = 500

_SAID = ("subject", "action", "body", "digest", "problems", "project", "code", "state", "written")
"""Columns of a row that are known when it has its number already."""


# What is said.


def note(kind: str, pk: int, event: str, by: str) -> int:
    """Note that something changed, to be said in a moment; return the note's number.

    kind: `allocation` or `project`. What nobody says within a minute, `mend` does.
    """
    row = Request.objects.create(event=event, key=mapping.key_of(kind, pk), by=by, **{kind: pk})
    return int(row.pk)


def forget(number: int) -> None:
    """Forget a note: what it is about was said."""
    Request.objects.filter(pk=number, state=NEW, body="").delete()


def allocation(pk: int, event: str, *, by: str = "", let_in: int | None = None) -> None:
    """Say what an allocation and its users should be now.

    by: who caused it; let_in: the key of an allocation user who has just been let in (ColdFront
    tells before it saves).
    """
    row = _reserve(event, mapping.key_of("allocation", pk), by, allocation=pk)
    found = list(snapshots.allocations([pk], with_user=(pk, let_in) if let_in else None))
    if not found:
        _withdraw(row, pk, "deleted")
        return
    [facts] = found
    row.project = facts.project.pk
    wanted = mapping.provision(facts, options.mapping())
    if wanted is None or not mapping.entitled(facts):
        status = facts.status if wanted is not None else "on a resource that is not provisioned"
        _withdraw(row, pk, status)
        return
    if wanted.document is not None:
        people(facts.users, event, by)
    wanted = _carried_out("allocation", row, wanted)
    _say(row, wanted, f"allocation:{pk}")
    if wanted.document is not None:
        _readmit(pk, facts.project.pk, event, by)


def project(pk: int, event: str, *, by: str = "") -> None:
    """Say what a project and its members should be now, and its allocations if it is archived.

    by: who caused it.
    """
    if not options.mapping().projects:
        for one in earlier.allocations_of(pk):
            allocation(one, event, by=by)
        return
    row = _reserve(event, mapping.key_of("project", pk), by, project=pk)
    found = list(snapshots.projects([pk]))
    if not found:
        row.delete()
        return
    [facts] = found
    wanted = mapping.provision_project(facts, options.mapping())
    if facts.status == "Archived" and not earlier.ever(row.key, "project.provision"):
        row.delete()
    else:
        if wanted.document is not None and facts.status != "Archived":
            people(facts.people, event, by)
        wanted = _carried_out("project", row, wanted)
        _say(row, wanted, f"project:{mapping.project_code(facts, options.mapping())}")
    if facts.status == "Archived":
        for one in earlier.allocations_of(pk):
            allocation(one, event, by=by)


def people(persons: Iterable[mapping.Person], event: str, by: str = "") -> None:
    """Say who users are: those of whom it was not said yet, or not so. by: who caused it."""
    unique = {person.name: person for person in persons}
    keys = {name: mapping.key_of("user", name) for name in unique}
    latest = earlier.last(keys.values())
    said = {name: mapping.provision_user(person) for name, person in unique.items()}
    news = [name for name in unique if is_news(said[name], latest.get(keys[name]))]
    rows = [Request(event=event[:_EVENTS], key=keys[name], by=by, user=name) for name in news]
    if connection.features.can_return_rows_from_bulk_insert:
        Request.objects.bulk_create(rows)
    else:
        for row in rows:
            row.save()
    for row in rows:
        fill(row, said[row.user], f"user:{row.user}")
    save(rows)


def save(rows: Iterable[Request]) -> None:
    """Save what rows say, each having its number already."""
    # As an update of many rows, each with values of its own, it would take ten times as long.
    by_target = connection.features.supports_update_conflicts_with_target
    Request.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["number"] if by_target else None,
        update_fields=_SAID,
    )


def _reserve(event: str, key: str, by: str, **about: Any) -> Request:
    """Take the next number."""
    row: Request = Request.objects.create(event=event[:_EVENTS], key=key, by=by, **about)
    return row


def take_out(refused: Request) -> None:
    """Have a removal carried out that was said in a request which the service refused as a whole.

    What it took last is said without those who are out; where something newer was said, or nobody
    left, nothing is.
    """
    part = refused.action.partition(".")[0]
    taken = earlier.last_taken([refused.key], refused.action).get(refused.key)
    if taken is None:
        return
    about = {"allocation": refused.allocation, "project": refused.project}
    row = _reserve(f"{request_id(refused.number)} refused", refused.key, refused.by, **about)
    said = json.loads(refused.body)[part]
    why = f"{request_id(refused.number)} was refused, and stands as before but for who left:"
    problems = (*refused.problems, f"{why} {refused.error}")
    whole = Wanted(None, problems, tuple(said["users"]))
    wanted = without_leavers(json.loads(taken.body), whole)
    assert wanted.document is not None
    newer = Request.objects.filter(key=row.key, number__gt=refused.number, number__lt=row.number)
    if wanted.repeated or wanted.document[part] == said or newer.exclude(digest="").exists():
        row.delete()
    else:
        _say(row, wanted, refused.subject)


def _carried_out(part: str, row: Request, wanted: Wanted) -> Wanted:
    return earlier.carried_out(part, {row.key: wanted})[row.key]


def _say(row: Request, wanted: Wanted, subject: str) -> None:
    """Make a row say what is wanted; where that was said last, the row goes."""
    before = earlier.last([row.key]).get(row.key)
    if not is_news(wanted, before):
        row.delete()
        if before is not None and row.event not in before.event:
            before.event = f"{before.event}, {row.event}"[:_EVENTS]
            before.save(update_fields=["event"])
        return
    fill(row, wanted, subject)
    row.save()


def fill(row: Request, wanted: Wanted, subject: str) -> None:
    """Make a row say what is wanted; it is not saved yet."""
    row.subject = subject
    row.problems = list(wanted.problems)
    row.digest = _digest(wanted)
    if wanted.document is None or wanted.repeated:
        row.state = INCOMPLETE
        return
    row.action = wanted.document["action"]
    row.body = _body(row, wanted.document)
    row.code = project_code(wanted.document)
    if files.too_large(_list_name(row.number), row.body):
        row.state, row.body, row.code = INCOMPLETE, "", ""
        row.problems = [*row.problems, f"it has more than {LIMIT} bytes beside its users"]


def is_news(wanted: Wanted, before: Request | None) -> bool:
    """Return True if it is worth a row: it differs from what was said last, or that went wrong."""
    return before is None or before.digest != _digest(wanted) or before.state in MENDABLE


def _digest(wanted: Wanted) -> str:
    said = json.dumps([wanted.document, wanted.problems], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def request_id(number: int) -> str:
    """Name a request to the service."""
    return f"{options.mapping().instance}-{number}"


def _list_name(number: int) -> str:
    """Name the list of users of a request: always the same, and known to this portal alone."""
    name = request_id(number)
    secret = salted_hmac("provisioner.coldfront.files", name, algorithm="sha256").hexdigest()
    return f"{name}-{secret[:24]}.users"


def _body(row: Request, document: Mapping[str, Any]) -> str:
    head = {
        "provisioner": 1,
        "action": document["action"],
        "id": request_id(row.number),
        "order": {"key": row.key, "number": row.number},
        "reason": f"{row.event} in ColdFront",
        **({"on_behalf_of": row.by} if row.by else {}),
    }
    return json.dumps({**head, **document}, ensure_ascii=False)


# Access: under an order of its own, as it and what should be there do not replace each other.


def _access(pk: int) -> str:
    return mapping.key_of("allocation", f"{pk}-access")


def _withdraw(row: Request, pk: int, status: str) -> None:
    """Take an allocation's access away, where it was ever asked for."""
    if not earlier.ever(mapping.key_of("allocation", pk), "allocation.provision"):
        row.delete()
        return
    row.key = _access(pk)
    _say(row, Wanted(mapping.suspend(pk, status)), f"allocation:{pk}")


def _readmit(pk: int, of: int, event: str, by: str) -> None:
    """Give an allocation's access back, where it was taken away."""
    before = Request.objects.filter(key=_access(pk)).exclude(digest="", action="").last()
    if before is not None and before.action == "allocation.suspend":
        row = _reserve(event, _access(pk), by, allocation=pk, project=of)
        _say(row, Wanted(mapping.resume(pk)), f"allocation:{pk}")


def note_listed(event: str, listed: Iterable[int], left_out: Iterable[int]) -> None:
    """Note what the service is told of allocations' access in another way: by a manifest.

    It counts when the service has followed that (`followed`), which may be held for days.
    """
    told = dict.fromkeys(listed, "allocation.resume")
    told |= dict.fromkeys(left_out, "allocation.suspend")
    latest = earlier.last(map(_access, told))

    def changed(pk: int, action: str) -> bool:
        before = latest.get(_access(pk))
        # Who was never shut out needs no word that they are let in.
        return before.action != action if before is not None else action == "allocation.suspend"

    Request.objects.bulk_create(
        Request(
            event=event,
            key=_access(pk),
            allocation=pk,
            action=action,
            subject=f"allocation:{pk}",
            state=PROMISED,
        )
        for pk, action in told.items()
        if changed(pk, action)
    )


def followed(event: str) -> None:
    """Note that the service has followed what a manifest told of access."""
    Request.objects.filter(event=event, state=PROMISED).update(state=LISTED, digest="manifest")


# Rows become files.


def flush(limit: int | None = None) -> int:
    """Write what is not written yet, in order; return how many files that were.

    Raises ConfigError or OSError when staging does not take one; it says so, and the rest stays.
    """
    mend()
    # People first: what is for them waits until they are known.
    first = Case(When(action="user.provision", then=0), default=1)
    rows = Request.objects.filter(state=NEW).exclude(body="").order_by(first, "number")
    written: list[Request] = []
    try:
        for row in rows[:limit] if limit is not None else rows.iterator():
            _drop(row)
            written.append(row)
    finally:
        _mark_all(written)
    return len(written)


def _mark_all(written: list[Request]) -> None:
    """Note that rows are files; what a kill leaves undone is written again, as it is."""
    first = [row.pk for row in written if row.action == "user.provision"]
    rest = [row.pk for row in written if row.action != "user.provision"]
    for numbers in (first, rest):
        for start in range(0, len(numbers), 500):
            some = Request.objects.filter(pk__in=numbers[start : start + 500], state=NEW)
            some.update(state=WRITTEN, written=timezone.now(), error="")


def write(row: Request) -> None:
    """Make one row a file.

    Raises ConfigError or OSError when staging does not take it; every row that waits says so.
    """
    _drop(row)
    mark_written(row)


def _drop(row: Request) -> None:
    try:
        files.put(options.staging(), request_id(row.number), _list_name(row.number), row.body)
    except (ConfigError, OSError) as error:
        Request.objects.filter(state=NEW).exclude(body="").update(error=str(error))
        raise


def mark_written(row: Request) -> None:
    """Note that a row is a file."""
    Request.objects.filter(pk=row.pk, state=NEW).update(
        state=WRITTEN, written=timezone.now(), error="", body=row.body
    )


def mend() -> None:
    """Say anew what a killed process had begun to say: rows without a word."""
    cut = timezone.now() - datetime.timedelta(minutes=1)
    left = list(Request.objects.filter(state=NEW, body="", created__lt=cut))
    for row in left:
        with transaction.atomic():
            if row.allocation is not None:
                allocation(row.allocation, row.event, by=row.by)
            elif row.project is not None:
                project(row.project, row.event, by=row.by)
            forget(row.number)


def waiting() -> Collection[int]:
    """List the numbers of what is not written yet."""
    return list(Request.objects.filter(state=NEW).values_list("number", flat=True))
