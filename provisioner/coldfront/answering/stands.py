"""The status of each user of each allocation, from the last request and its answer.

Promises: the number of queries grows by one round for each 500 requests. Leaves out: recording the
status (`sync`), and who may see it (`sections`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.models import Request, Step

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class UserStand:
    """The status of one user of one allocation.

    number: of the last request; about: the number of the request that determines the status;
    since: when that request was made; parts: the steps of the account and of the allocation; shut:
    the request that closed the allocation, or None.
    """

    number: int
    about: int
    stand: answers.Stand
    parts: tuple[answers.Part, ...] = ()
    since: datetime | None = None
    shut: Request | None = None


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
    shut = _closed(rows)
    parts = _parts([*rows, *people.values()], done=done)
    standings: dict[tuple[int, str], UserStand] = {}
    for row in rows:
        for user in users[row.pk]:
            requests = [request for request in (row, people.get(user)) if request is not None]
            each = {
                request.pk: answers.stand(
                    user, request.state, parts.get(request.pk, ()), [request.error]
                )
                for request in requests
            }
            worst = answers.worst(each.values())
            about = next(pk for pk, stand in each.items() if stand is worst)
            closed_by = shut.get(row.allocation)
            own = [
                _shown(part, closed=closed_by is not None and request is row)
                for request in reversed(requests)
                for part in answers.own_parts(user, parts.get(request.pk, ()))
            ]
            stand = _SHUT if closed_by is not None else worst
            since = next(request.created for request in requests if request.pk == about)
            standings[row.allocation, user] = UserStand(
                row.number, about, stand, tuple(own), since, closed_by
            )
    return standings


def _shown(part: answers.Part, *, closed: bool) -> answers.Part:
    """Return a part as it is now: what an allocation gave is closed with the allocation."""
    return replace(part, state=answers.CLOSED) if closed and part.state == "done" else part


_SHUT = answers.Stand(answers.CLOSED, "the allocation is not active")


def _people(names: Collection[str]) -> Mapping[str, Request]:
    keys = [mapping.key_of("user", name) for name in names]
    return {row.user: row for row in earlier.last_asked(keys, "user.provision").values()}


def _closed(rows: Sequence[Request]) -> dict[int, Request]:
    """Return the request that closed each closed allocation, by allocation."""
    keys = [mapping.key_of("allocation", f"{row.allocation}-access") for row in rows]
    last = earlier.last(keys).values()
    return {row.allocation: row for row in last if row.action == "allocation.suspend"}


def _parts(rows: Iterable[Request], *, done: bool) -> Mapping[int, list[answers.Part]]:
    parts: dict[int, list[answers.Part]] = {}
    whole = {row.pk for row in rows if done or row.state != "done"}
    numbers = [row.pk for row in rows]
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK]
        # Of a finished request, only the users whom the service left out.
        wanted = Q(request__in=whole.intersection(some)) | Q(name=answers.LEFT_OUT)
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
