"""Whose a held request is: who asked for it, and who changed in ColdFront what it says.

A change may be asked for by a manifest, which names nobody: its signal came too late, or there is
none, as for attributes of resources. What was changed counts until all that ColdFront had is asked
for and done. Promises: what cannot be attributed belongs to everybody who changed anything; the
number of queries does not grow with the number of requests. Leaves out: how ColdFront tells who
changed what (`changes`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from coldfront.core.allocation.models import Allocation
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Subquery

from provisioner.coldfront import changes
from provisioner.coldfront.models import WHOLE, Request

ASKED = "you have asked for it, and it was not done since"
CHANGED = "you have changed in ColdFront what it asks for, since that was last done"
ANYTHING = (
    "you have changed something in ColdFront since everything was last asked for and done, and"
    " this request does not tell whose changes it contains"
)
NOBODY = "nobody releases their own"
ADVICE = (
    "ask a colleague to look at it and to release it, or an admin of the service's host"
    " (`provisioner release`)"
)

_About: TypeAlias = Mapping[int, Mapping[str, set[int]]]
"""The keys of what each request is about, by kind, by the request's number."""


def own(person: str, rows: Collection[Request]) -> dict[int, str]:
    """Return, for each held request that a person may not release, why, by its number.

    Of a request that this person held, changes do not count: they may release their own hold.
    """
    why: dict[int, str] = {}
    held = _held(person, rows)
    others = [row for row in rows if row.pk not in held]
    anything = [row for row in others if _may_say_anything(row)]
    latest = changes.of_anything(person) if anything else None
    if latest is not None:
        for number, since in _settled(anything).items():
            if since is None or latest > since:
                why[number] = ANYTHING
    told = [row for row in others if row.pk not in why]
    manifests = [row.pk for row in told if _is_manifest(row)]
    undone = _undone() if manifests else []
    changed = _changed(person, [*told, *undone])
    why |= dict.fromkeys(changed.intersection(row.pk for row in told), CHANGED)
    if changed.intersection(row.pk for row in undone):
        why |= dict.fromkeys(manifests, CHANGED)
    return why | dict.fromkeys(_asked(person, rows), ASKED)


def _is_manifest(row: Request) -> bool:
    return bool(row.action == "reconcile")


def _may_say_anything(row: Request) -> bool:
    """Return True if any table may have caused a request: it is about no thing, and of nobody."""
    return row.allocation is None and row.project is None and not row.by


# Who asked.


def _asked(person: str, rows: Collection[Request]) -> set[int]:
    """Return the requests that a person asked for, or for the same since that was last done."""
    mine = Request.objects.filter(key__in={row.key for row in rows}, of=None, by=person)
    numbers: dict[str, list[int]] = {}
    for key, number in mine.order_by("number").values_list("key", "number"):
        numbers.setdefault(key, []).append(number)
    rows = [row for row in rows if row.key in numbers]
    done = {number: at.number for number, at in _last_whole(rows).items()}
    return {
        row.pk
        for row in rows
        if any(done.get(row.pk, 0) < number <= row.pk for number in numbers[row.key])
    }


def _held(person: str, rows: Collection[Request]) -> set[int]:
    """Return the numbers of the requests that a person held last."""
    steering = Request.objects.filter(of__in=[row.pk for row in rows], state="done")
    last = {
        of: (action, by)
        for of, action, by in steering.order_by("number").values_list("of", "action", "by")
    }
    return {number for number, what in last.items() if what == ("request.hold", person)}


# Who changed something.


def _changed(person: str, rows: Sequence[Request]) -> set[int]:
    """Return the requests that say what a person changed since they were last done."""
    about = _about(rows)
    return _changed_things(person, rows, about) | _changed_all_or_accounts(person, rows, about)


def _changed_things(person: str, rows: Sequence[Request], about: _About) -> set[int]:
    """Return the requests about things that a person changed since they were last done."""
    done = _last_whole(rows)
    changed: set[int] = set()
    for model, column, kind in changes.THINGS:
        wanted = {pk for of_row in about.values() for pk in of_row[kind]}
        if not wanted:
            continue
        latest = changes.of_things(person, model, column, wanted)
        for number, of_row in about.items():
            since = done[number].created if number in done else None
            times = [latest[pk] for pk in of_row[kind] if pk in latest]
            if any(since is None or at > since for at in times):
                changed.add(number)
    return changed


def _changed_all_or_accounts(person: str, rows: Sequence[Request], about: _About) -> set[int]:
    """Return the requests that may say names or accounts that a person changed."""
    names, accounts = changes.of_everything(person), changes.of_accounts(person)
    if not rows or (names is None and not accounts):
        return set()
    since, members = _settled(rows), changes.memberships(accounts)
    changed: set[int] = set()
    for number, of_row in about.items():
        people = of_row["user"].union(
            *(members[kind].get(pk, ()) for kind in members for pk in of_row[kind])
        )
        times = [names, *(accounts.get(pk) for pk in people)]
        before = since[number]
        if any(at is not None and (before is None or at > before) for at in times):
            changed.add(number)
    return changed


def _settled(rows: Collection[Request]) -> dict[int, datetime | None]:
    """Return, by row, since when its subject may not be as ColdFront has it.

    That is when it was last done, or a later manifest that is done and after which it was first
    asked for again: by then, nothing was to be asked for.
    """
    keys = {row.pk: row.key for row in rows}
    same = Request.objects.filter(key__in=set(keys.values()), of=None)
    runs: dict[str, list[Request]] = {}
    for one in same.only("number", "key", "state", "problems", "created").order_by("number"):
        runs.setdefault(one.key, []).append(one)
    done: dict[int, datetime] = {}
    first: dict[int, int] = {row.pk: row.pk for row in rows}
    for number, key in keys.items():
        for one in runs.get(key, ()):
            if one.number >= number:
                break
            if one.state == "done" and not one.problems:
                done[number], first[number] = one.created, number
            else:
                first[number] = min(first[number], one.number)
    manifests = _asked_for_everything(set(first.values()))
    times = {number: (done.get(number), manifests.get(one)) for number, one in first.items()}
    return {
        number: max((at for at in both if at is not None), default=None)
        for number, both in times.items()
    }


def _last_whole(rows: Iterable[Request]) -> dict[int, Request]:
    """Return the last request before each row that asked for the same, for all of it, and is done.

    Its `created` is before ColdFront was read for it.
    """
    rows = list(rows)
    same = Request.objects.filter(WHOLE, key__in={row.key for row in rows}, of=None)
    whole: dict[tuple[str, str], list[Request]] = {}
    for one in same.only("number", "key", "action", "created").order_by("number"):
        whole.setdefault((one.key, one.action), []).append(one)
    before = {
        row.pk: [one for one in whole.get((row.key, row.action), ()) if one.number < row.pk]
        for row in rows
    }
    return {number: ones[-1] for number, ones in before.items() if ones}


def _asked_for_everything(numbers: Collection[int]) -> dict[int, datetime | None]:
    """Return when the last manifest before each row was made that is done, by the row's number."""
    # A row of a manifest is older than the manifest's file, and counts with the one before.
    manifests = Request.objects.filter(
        action="reconcile", state="done", written__lt=OuterRef("created")
    )
    last = Subquery(manifests.order_by("-number").values("created")[:1])
    asked = Request.objects.filter(pk__in=numbers).annotate(last=last)
    return dict(asked.values_list("number", "last"))


def _undone() -> list[Request]:
    """Return the last request of each subject, where that is not done: a manifest asks for it, too.

    What was given by an allocation that is closed by now is in no manifest.
    """
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    moves = Request.objects.filter(
        allocation=OuterRef("allocation"), action__in=("allocation.suspend", "allocation.resume")
    ).order_by("-number")
    rows = (
        Request.objects.filter(~Exists(newer.exclude(digest="")), of=None)
        .exclude(state="done")
        .exclude(body="")
        .exclude(action="reconcile")
        .defer("body", "answer")
        .annotate(
            move=Subquery(moves.values("action")[:1]), moved=Subquery(moves.values("state")[:1])
        )
    )
    return [
        row
        for row in rows
        if (row.action, row.move, row.moved)
        != ("allocation.provision", "allocation.suspend", "done")
    ]


def _about(rows: Collection[Request]) -> _About:
    """Return the allocation, the project, the resources and the user of each row, by kind."""
    allocations = {row.allocation for row in rows if row.allocation}
    projects = dict(Allocation.objects.filter(pk__in=allocations).values_list("pk", "project"))
    resources = _resources(allocations)
    names = {row.user for row in rows if row.user}
    users = dict(User.objects.filter(username__in=names).values_list("username", "pk"))
    return {
        row.pk: {
            "allocation": {row.allocation} - {None},
            "project": {row.project, projects.get(row.allocation)} - {None},
            "resource": resources.get(row.allocation or 0, set()),
            "user": {users[row.user]} if row.user in users else set(),
        }
        for row in rows
    }


def _resources(allocations: Collection[int]) -> dict[int, set[int]]:
    """Return the resources of each allocation, with all that are above them."""
    links = Allocation.resources.through.objects.filter(allocation__in=allocations)
    pairs = list(links.values_list("allocation_id", "resource_id"))
    parents = dict(Resource.objects.values_list("pk", "parent_resource")) if pairs else {}
    resources: dict[int, set[int]] = {}
    for allocation, attached in pairs:
        above, resource = resources.setdefault(allocation, set()), attached
        while resource is not None and resource not in above:
            above.add(resource)
            resource = parents.get(resource)
    return resources
