"""The status of each user of each allocation, from the last request and its answer.

Promises: an allocation counts as closed, or as open again, when the service has done that, not when
it was asked to. The number of queries grows by one round for each 500 requests. Leaves out:
recording the status (`sync`), and who may see it (`sections`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.models import NEW, OPEN, WRITTEN, Request, Step

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class UserStand:
    """The status of one user of one allocation.

    number: of the last request; about: the number of the request that determines the status;
    since: when that request was made; parts: the steps of the account and of the allocation; shut:
    the request that closed the allocation, or None; moving: the one that determines the status
    because it asked to close or reopen the allocation and is not done, or None.
    """

    number: int
    about: int
    stand: answers.Stand
    parts: tuple[answers.Part, ...] = ()
    since: datetime | None = None
    shut: Request | None = None
    moving: Request | None = None


def everywhere() -> list[Request]:
    """Return the last request of every allocation."""
    keys = Request.objects.filter(action="allocation.provision").exclude(body="").order_by()
    return of(keys.values_list("key", flat=True).distinct())


def of(keys: Iterable[str]) -> list[Request]:
    """Return the last request of each of some allocations, given by their keys."""
    return list(earlier.last_asked(keys, "allocation.provision").values())


def read(rows: Sequence[Request], *, done: bool = False) -> Mapping[tuple[int, str], UserStand]:
    """Return the status by (allocation, user name). done: include the steps that are done."""
    users = {row.pk: list(map(str, json.loads(row.body)["allocation"]["users"])) for row in rows}
    people = _people({name for names in users.values() for name in names})
    access = _access(rows)
    parts = _parts([*rows, *people.values(), *access.values()], done=done)
    by_user = {number: answers.Parts(some) for number, some in parts.items()}
    standings: dict[tuple[int, str], UserStand] = {}
    for row in rows:
        moved = access.get(row.allocation)
        of_access = _of_access(moved, parts.get(moved.pk, ())) if moved is not None else _OPEN
        shut = moved if of_access is _SHUT else None
        for user in users[row.pk]:
            requests = [request for request in (row, people.get(user)) if request is not None]
            mine = {r.pk: by_user[r.pk].of(user) if r.pk in by_user else [] for r in requests}
            each = {
                request.pk: answers.stand(user, request.state, mine[request.pk], [request.error])
                for request in requests
            }
            stand = answers.worst(each.values())
            about = next(request for request in requests if each[request.pk] is stand)
            own = [
                _shown(part, closed=shut is not None and request is row)
                for request in reversed(requests)
                for part in answers.own_parts(user, mine[request.pk])
            ]
            moving = None
            if moved is not None and (_closes(moved) or _worse(of_access, stand)):
                stand, about = of_access, moved
                moving = moved if shut is None else None
            standings[row.allocation, user] = UserStand(
                row.number, about.pk, stand, tuple(own), about.created, shut, moving
            )
    return standings


def _shown(part: answers.Part, *, closed: bool) -> answers.Part:
    """Return a part as it is now: what an allocation gave is closed with the allocation."""
    return replace(part, state=answers.CLOSED) if closed and part.state == "done" else part


_SHUT = answers.Stand(answers.CLOSED, "the allocation is not active")
_OPEN = answers.Stand(answers.READY)
_UNDONE = {
    NEW: "not sent yet",
    WRITTEN: "not answered yet",
}
"""What to call the states that ColdFront itself gives to a request."""


def _closes(row: Request) -> bool:
    return bool(row.action == "allocation.suspend")


def _worse(one: answers.Stand, other: answers.Stand) -> bool:
    return answers.worst((other, one)) is one


def _of_access(row: Request, parts: Sequence[answers.Part]) -> answers.Stand:
    """Return what a request to close or reopen an allocation means for its users."""
    if row.state == "done":
        return _SHUT if _closes(row) else _OPEN
    what = "closed" if _closes(row) else "given back"
    wrong = next((part for part in parts if part.state in _STOPPED and part.message), None)
    why = f"{wrong.name}: {wrong.message}" if wrong is not None else row.error
    failed = row.state not in (*OPEN, NEW) or (row.state == NEW and row.error)
    return answers.Stand(
        answers.FAILED if failed else answers.WAITING,
        f"access is not {what}: the request for it is {_UNDONE.get(row.state, row.state)}"
        + (f": {why}" if why else ""),
        wrong.advice if wrong is not None else row.advice,
    )


_STOPPED = ("failed", "cancelled")


def _people(names: Collection[str]) -> Mapping[str, Request]:
    keys = [mapping.key_of("user", name) for name in names]
    return {row.user: row for row in earlier.last_asked(keys, "user.provision").values()}


def _access(rows: Sequence[Request]) -> dict[int, Request]:
    """Return the request that determines the access to each allocation, by allocation.

    That is the newest one to close or reopen it. A closed allocation that shall be closed once
    more, for another reason, is closed meanwhile, unless it may have been opened in between.
    """
    keys = [mapping.key_of("allocation", f"{row.allocation}-access") for row in rows]
    moved = earlier.last_named(keys)
    before = earlier.last_moved(key for key, row in moved.items() if _closes(row))
    closed = {key: row for key, row in before.items() if _closes(row)}
    return {row.allocation: row for row in (moved | closed).values()}


def _parts(rows: Iterable[Request], *, done: bool) -> Mapping[int, list[answers.Part]]:
    parts: dict[int, list[answers.Part]] = {}
    whole = {row.pk for row in rows if done or row.state != "done"}
    numbers = [row.pk for row in rows]
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK]
        # Of a finished request, only the users whom the service left out, or others have closed.
        about_users = Q(name__in=(answers.LEFT_OUT, answers.SHUT))
        wanted = Q(request__in=whole.intersection(some)) | about_users
        for step in Step.objects.filter(wanted, request__in=some):
            parts.setdefault(step.request_id, []).append(part(step))
    return parts


def part(step: Step) -> answers.Part:
    """Return a step as a plain value."""
    return answers.Part(
        step.name,
        step.handler,
        step.state,
        step.user,
        step.message,
        step.advice,
        step.kind,
        tuple(map(str, step.needs)),
    )
