"""The outbox: what ColdFront wants now, as a row.

Promises: a row has its number before ColdFront is read for it, so the snapshot with the higher
number is the newer one. A request that repeats the last one gets no row; whoever decides that has
seen what all others say of the same. Leaves out: how rows become files (`sending`), and who calls
when (`signals`, the commands).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from provisioner.coldfront.asking import earlier, files, mapping, options
from provisioner.coldfront.asking.portal import portal
from provisioner.coldfront.asking.wanted import Wanted, project_code, without_leavers
from provisioner.coldfront.models import (
    INCOMPLETE,
    NEW,
    RETRYABLE,
    Request,
)
from provisioner.request.values import as_person
from provisioner.spool.submission import LIMIT

log = logging.getLogger(__name__)

_EVENTS = 500

_SAID = ("subject", "action", "body", "digest", "problems", "project", "code", "state", "written")
"""Columns that a row gets after it has its number."""


# Requests become rows.


def note(kind: str, pk: int, event: str, by: str) -> int:
    """Note that something changed, and return the note's number; a request follows soon.

    kind: `allocation` or `project`. When the note is late, `finish_notes` makes its request.
    """
    return int(_reserve(event, mapping.key_of(kind, pk), by, **{kind: pk}).pk)


def forget(numbers: Sequence[int]) -> None:
    """Delete notes, because the request for them exists."""
    for start in range(0, len(numbers), 500):
        some = Request.objects.filter(pk__in=numbers[start : start + 500])
        some.filter(state=NEW, body="").delete()


@transaction.atomic
def allocation(pk: int, event: str, *, by: str = "", let_in: int | None = None) -> None:
    """Make a row for what ColdFront now wants for an allocation and its users.

    by: the person who caused it; let_in: the key of an allocation user who has just been given
    access (ColdFront sends the signal before it saves).
    """
    row = _reserve_in_turn(event, mapping.key_of("allocation", pk), by, allocation=pk)
    snapshot = list(portal().allocations([pk], with_user=(pk, let_in) if let_in else None))
    if not snapshot:
        _withdraw(row, pk, "deleted")
        return
    [facts] = snapshot
    row.project, wanted = facts.project, facts.wanted
    if wanted is None or not facts.entitled:
        status = facts.status if wanted is not None else "on a resource that is not provisioned"
        _withdraw(row, pk, status)
        return
    if wanted.document is not None:
        people(facts.users, event, by)
    wanted = _with_removals("allocation", row, wanted)
    _say(row, wanted, options.allocation(pk))
    if wanted.document is not None:
        readmit(pk, facts.project, event, by)


@transaction.atomic
def project(pk: int, event: str, *, by: str = "") -> None:
    """Make a row for what ColdFront now wants for a project and its members.

    If it is archived, its allocations get rows, too; if the centre's options leave projects out,
    only its allocations get rows. by: the person who caused it.
    """
    if not options.mapping().projects:
        for allocation_id in earlier.allocations_of(pk):
            allocation(allocation_id, event, by=by)
        return
    row = _reserve_in_turn(event, mapping.key_of("project", pk), by, project=pk)
    snapshot = list(portal().projects([pk]))
    if not snapshot:
        row.delete()
        return
    [facts] = snapshot
    wanted = facts.wanted
    if facts.archived and not earlier.ever(row.key, "project.provision"):
        row.delete()
    else:
        if wanted.document is not None and not facts.archived:
            people(facts.people, event, by)
        wanted = _with_removals("project", row, wanted)
        _say(row, wanted, f"project:{facts.code}")
    if facts.archived:
        for allocation_id in earlier.allocations_of(pk):
            allocation(allocation_id, event, by=by)


def people(persons: Iterable[mapping.Person], event: str, by: str = "") -> None:
    """Make rows for the users who are new or changed. by: the person who caused it."""
    unique = {person.name: person for person in persons}
    keys = {name: mapping.key_of("user", name) for name in unique}
    latest = earlier.last(keys.values())
    wanted = {name: mapping.provision_user(person) for name, person in unique.items()}
    news = [name for name in unique if is_news(wanted[name], latest.get(keys[name]))]
    rows = [Request(event=event[:_EVENTS], key=keys[name], by=by, user=name) for name in news]
    if connection.features.can_return_rows_from_bulk_insert:
        Request.objects.bulk_create(rows)
    else:
        for row in rows:
            row.save()
    for row in rows:
        fill(row, wanted[row.user], f"user:{row.user}")
    save(rows)


def save(rows: Iterable[Request]) -> None:
    """Save the content of rows that already have their numbers."""
    # An update of many rows, each with its own values, would take ten times as long.
    by_target = connection.features.supports_update_conflicts_with_target
    Request.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["number"] if by_target else None,
        update_fields=_SAID,
    )


def _reserve(event: str, key: str, by: str, **about: Any) -> Request:
    """Make an empty row, which reserves the next number."""
    row: Request = Request.objects.create(event=event[:_EVENTS], key=key, by=by, **about)
    return row


def _reserve_in_turn(event: str, key: str, by: str, **about: Any) -> Request:
    _take_turn(key)
    return _reserve(event, key, by, **about)


def _take_turn(key: str) -> None:
    """Wait, until the end of this transaction, for others that make requests under the same key.

    Otherwise a request that another has not committed yet would be unseen, and this one taken for
    a repetition of the one before that. Without any row there is nothing to repeat. A note goes
    while others wait for it: their turn is then at the row that is the first by then.
    """
    gone: list[int] = []
    rows = Request.objects.filter(key=key).order_by("number")
    while (first := rows.exclude(pk__in=gone).values_list("number", flat=True).first()) is not None:
        if Request.objects.select_for_update().filter(pk=first).first() is not None:
            return
        gone.append(first)


@transaction.atomic
def drop_leavers(refused: Request) -> None:
    """Make a request for the removals in a request that the service refused.

    The new request repeats the last one that the service accepted, without the users who left. No
    request is made if a newer one exists, or nobody left.
    """
    part = refused.action.partition(".")[0]
    taken = earlier.last_taken([refused.key], refused.action).get(refused.key)
    if taken is None:
        return
    about = {"allocation": refused.allocation, "project": refused.project}
    event = f"{request_id(refused.number)} refused"
    row = _reserve_in_turn(event, refused.key, refused.by, **about)
    refused_body = json.loads(refused.body)[part]
    why = (
        f"{request_id(refused.number)} was refused; this request repeats the one before it,"
        " without the users who left:"
    )
    problems = (*refused.problems, f"{why} {refused.error}")
    whole = Wanted(None, problems, tuple(refused_body["users"]))
    wanted = without_leavers(json.loads(taken.body), whole)
    assert wanted.document is not None
    newer = Request.objects.filter(key=row.key, number__gt=refused.number, number__lt=row.number)
    if (
        wanted.repeated
        or wanted.document[part] == refused_body
        or newer.exclude(digest="").exists()
    ):
        row.delete()
    else:
        _say(row, wanted, refused.subject)


def _with_removals(part: str, row: Request, wanted: Wanted) -> Wanted:
    return earlier.with_removals(part, {row.key: wanted})[row.key]


def _say(row: Request, wanted: Wanted, subject: str) -> None:
    """Fill and save a row; if the last row of its key says the same, delete this one."""
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
    """Fill a row with what is wanted, without saving it."""
    row.subject = subject
    row.problems = list(wanted.problems)
    row.digest = _digest(wanted)
    if wanted.document is None or wanted.repeated:
        row.state = INCOMPLETE
        return
    row.action = wanted.document["action"]
    row.body = _body(row, wanted.document)
    row.code = project_code(wanted.document)
    if files.too_large(list_name(row.number), row.body):
        row.state, row.body, row.code = INCOMPLETE, "", ""
        row.problems = [
            *row.problems,
            f"the request has more than {LIMIT} bytes, even without its users",
        ]


def is_news(wanted: Wanted, before: Request | None) -> bool:
    """Return True if `wanted` needs a row: it differs from the last row, or that one went wrong."""
    # The newest row of a subject that was superseded was so by a request of somebody else's.
    wrong = (*RETRYABLE, "superseded")
    return before is None or before.digest != _digest(wanted) or before.state in wrong


def _digest(wanted: Wanted) -> str:
    text = json.dumps([wanted.document, wanted.problems], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def request_id(number: int) -> str:
    """Return the id of a request for the service."""
    return f"{options.mapping().instance}-{number}"


def list_name(number: int) -> str:
    """Return the file name of a request's list of users: constant, and secret to this portal."""
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
        **({"on_behalf_of": as_person(row.by)} if row.by else {}),
    }
    return json.dumps({**head, **document}, ensure_ascii=False)


# Access: with a key of its own, because requests for access and for content do not replace each
# other.


def access_key(pk: int) -> str:
    """Return the key under which the requests about an allocation's access have their order."""
    return mapping.key_of("allocation", f"{pk}-access")


def _withdraw(row: Request, pk: int, status: str) -> None:
    """Make the row take an allocation's access away; delete it if the allocation never had any."""
    if not earlier.ever(mapping.key_of("allocation", pk), "allocation.provision"):
        row.delete()
        return
    row.key = access_key(pk)
    _say(row, Wanted(mapping.suspend(pk, status, options.mapping())), options.allocation(pk))


@transaction.atomic
def readmit(pk: int, of: int, event: str, by: str = "") -> None:
    """Make a row that gives an allocation's access back, if it was taken away. of: its project.

    ColdFront is read for it once more: somebody may have closed the allocation since it was read.
    """
    _take_turn(mapping.key_of("allocation", pk))
    before = Request.objects.filter(key=access_key(pk)).exclude(digest="", action="").last()
    if before is None or not (before.action == "allocation.suspend" or before.state in RETRYABLE):
        return
    row = _reserve(event, access_key(pk), by, allocation=pk, project=of)
    if any(now.entitled and now.wanted is not None for now in portal().allocations([pk])):
        _say(row, Wanted(mapping.resume(pk, options.mapping())), options.allocation(pk))
    else:
        row.delete()


# Notes become rows.


def finish_notes() -> None:
    """Make the requests for late notes. One that cannot be made keeps its notes, and no other."""
    for left in earlier.late():
        try:
            with transaction.atomic():
                if left.allocation is not None:
                    allocation(left.allocation, left.event, by=left.by)
                elif left.project is not None:
                    project(left.project, left.event, by=left.by)
                forget(left.numbers)
        except Exception:
            log.exception("provisioner: failed to make a request for %s; tried again later", left)
