"""The status of each user of each allocation, by what was asked for last and what was answered.

Promises: a few queries, however many allocations and users. Leaves out: recording it (`sync`), and
who may see it (`sections`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.models import Request, Step

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Found:
    """How one user of one allocation stands.

    number: what was asked for last; about: the request that says how they stand, since: when it
    was made; parts: the steps of the account and of the allocation.
    """

    number: int
    about: int
    stand: answers.Stand
    parts: tuple[answers.Part, ...] = ()
    since: datetime | None = None


def everywhere() -> list[Request]:
    """List what was asked for last of every allocation."""
    keys = Request.objects.filter(action="allocation.provision").exclude(body="").order_by()
    return of(keys.values_list("key", flat=True).distinct())


def of(keys: Iterable[str]) -> list[Request]:
    """List what was asked for last of some allocations."""
    return list(earlier.last_asked(keys, "allocation.provision").values())


def read(rows: Sequence[Request], *, done: bool = False) -> Mapping[tuple[int, str], Found]:
    """Say of every allocation and user how they stand. done: with the steps that are done, too."""
    users = {row.pk: list(map(str, json.loads(row.body)["allocation"]["users"])) for row in rows}
    people = _people({name for names in users.values() for name in names})
    shut = _closed(rows)
    parts = _parts([*rows, *people.values()], done=done)
    found: dict[tuple[int, str], Found] = {}
    for row in rows:
        for user in users[row.pk]:
            asked = [one for one in (row, people.get(user)) if one is not None]
            each = {
                one.pk: answers.stand(user, one.state, parts.get(one.pk, ()), [one.error])
                for one in asked
            }
            worst = answers.worst(each.values())
            about = next(pk for pk, stand in each.items() if stand is worst)
            own = [
                part
                for one in reversed(asked)
                for part in answers.own_parts(user, parts.get(one.pk, ()))
            ]
            stand = _SHUT if row.allocation in shut else worst
            since = next(one.created for one in asked if one.pk == about)
            found[row.allocation, user] = Found(row.number, about, stand, tuple(own), since)
    return found


_SHUT = answers.Stand(answers.CLOSED, "the allocation is not active")


def _people(names: Collection[str]) -> Mapping[str, Request]:
    keys = [mapping.key_of("user", name) for name in names]
    return {row.user: row for row in earlier.last_asked(keys, "user.provision").values()}


def _closed(rows: Sequence[Request]) -> set[int]:
    keys = [mapping.key_of("allocation", f"{row.allocation}-access") for row in rows]
    last = earlier.last(keys).values()
    return {row.allocation for row in last if row.action == "allocation.suspend"}


def _parts(rows: Iterable[Request], *, done: bool) -> Mapping[int, list[answers.Part]]:
    found: dict[int, list[answers.Part]] = {}
    whole = {row.pk for row in rows if done or row.state != "done"}
    numbers = [row.pk for row in rows]
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK]
        # Of what is done, who was left out.
        wanted = Q(request__in=whole.intersection(some)) | Q(name=answers.LEFT_OUT)
        for step in Step.objects.filter(wanted, request__in=some):
            found.setdefault(step.request_id, []).append(part(step))
    return found


def part(step: Step) -> answers.Part:
    """Read a step."""
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
