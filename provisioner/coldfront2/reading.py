"""ColdFront 2 as the outbox's portal: reads its tables into the plain values of `mapping`.

A module is the portal: its functions are those of `Portal`. Promises: the number of queries grows
by one round for each 500 allocations. Leaves out: what the values mean (`mapping`), resources
(`resources`) and activation (`activation`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from coldfront.context import current_request
from coldfront.ras.models import Allocation, Project, ProjectUser
from coldfront.users.models import User
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from provisioner.coldfront.asking import earlier, mapping, options
from provisioner.coldfront.asking.outbox import access_key
from provisioner.coldfront.asking.portal import OfAllocation, OfProject
from provisioner.coldfront2 import activation, extensions, usage
from provisioner.coldfront2 import mapping as ours
from provisioner.coldfront2 import resources as of_resources

_CHUNK = 500

resources = of_resources.every
where_named = of_resources.where_named
remarks = of_resources.remarks


def acting() -> str:
    """Return the name of the person whose page ColdFront is serving, or ''."""
    user = getattr(current_request.get(), "user", None)
    if user is None or not user.is_authenticated:
        return ""
    return str(user.get_username())


def follow() -> tuple[int, int]:
    """Show what is used, and activate what is done; return 0, and how many are Active now."""
    usage.tell()
    return activation.follow()


def paths() -> bool:
    """Return True if requests contain the paths of storage quotas."""
    return bool(getattr(settings, "PROVISIONER_PATHS", False))


def allocations(
    chosen: Collection[int], *, with_user: tuple[int, int] | None = None
) -> Iterator[OfAllocation]:
    """Read allocations by their keys, as `Portal` says. with_user: here everybody has a row."""
    for facts in read(chosen):
        yield OfAllocation(
            facts.pk,
            facts.project.pk,
            ours.ended(facts.status, over=facts.over),
            ours.entitled(facts),
            ours.provision(facts, options.mapping(), paths=paths()),
            facts.users,
        )


def entitled() -> list[int]:
    """Return the keys of the allocations whose users have access.

    Nothing in ColdFront 2 ends an allocation whose end date is past, so that date is read here.
    """
    statuses = (ours.APPROVED, ours.ACTIVE, ours.RENEW)
    running = Q(end_date=None) | Q(end_date__gte=timezone.now())
    rows = Allocation.objects.filter(running, status__in=statuses).order_by("pk")
    found = list(rows.values_list("pk", "status"))
    had = _had([pk for pk, status in found if status == ours.RENEW])
    return [pk for pk, status in found if status != ours.RENEW or pk in had]


def projects(chosen: Collection[int]) -> Iterator[OfProject]:
    """Read projects by their keys, as `Portal` says; ColdFront 2 archives none."""
    for keys in _chunks(chosen):
        rows = Project.objects.filter(pk__in=keys).select_related("owner").order_by("pk")
        for facts in _projects(list(rows)).values():
            yield OfProject(
                facts.pk,
                mapping.project_code(facts, options.mapping()),
                False,
                mapping.provision_project(facts, options.mapping()),
                facts.people,
            )


def living_projects() -> list[int]:
    """Return the keys of all projects."""
    return list(Project.objects.order_by("pk").values_list("pk", flat=True))


def people(names: Collection[str]) -> Iterator[mapping.Person]:
    """Read users by their names; skip those who no longer exist or may not log in."""
    for some in _chunks(names):
        for row in User.objects.filter(username__in=some, is_active=True).order_by("username"):
            yield _person(row)


def read(chosen: Collection[int]) -> Iterator[ours.Allocation]:
    """Read allocations by their keys as plain values; skip those that no longer exist."""
    found = of_resources.Resources()
    for keys in _chunks(chosen):
        rows = list(
            Allocation.objects.filter(pk__in=keys)
            .select_related("project__owner", "project__group")
            .prefetch_related("resource_object")
            .order_by("pk")
        )
        projects_of = _projects([row.project for row in rows])
        associations = extensions.associations(rows, found)
        quotas = extensions.quotas(keys)
        had, now = _had(keys), timezone.now()
        for row in rows:
            project = projects_of[row.project_id]
            yield ours.Allocation(
                pk=row.pk,
                status=row.status,
                project=project,
                resource=found.read(row.resource_object),
                users=project.people,
                over=row.end_date is not None and row.end_date < now,
                had=row.pk in had,
                data=row.attribute_data or {},
                group=row.project.group.name if row.project.group else "",
                association=associations.get(row.pk),
                quota=quotas.get(row.pk),
            )


def _had(keys: Iterable[int]) -> set[int]:
    """Return the allocations whose users have access by what was asked for last."""
    by_key = {mapping.key_of("allocation", pk): pk for pk in keys}
    asked = {by_key[key] for key in earlier.last_asked(by_key, "allocation.provision")}
    moved = earlier.last_named(access_key(pk) for pk in asked)
    return asked - {row.allocation for row in moved.values() if row.action == "allocation.suspend"}


# Projects and people.


def _projects(rows: Sequence[Any]) -> dict[int, mapping.Project]:
    by_pk = {row.pk: row for row in rows}
    members: dict[int, list[mapping.Person]] = {pk: [] for pk in by_pk}
    listed = ProjectUser.objects.filter(project__in=by_pk, user__is_active=True)
    for member in listed.select_related("user").order_by("user__username"):
        members[member.project_id].append(_person(member.user))
    kept = earlier.codes(by_pk)
    rivals = _rivals(by_pk, kept)
    facts = {}
    for pk, row in by_pk.items():
        owner = [_person(row.owner)] if row.owner.is_active else []
        # The owner is no member of their own project, and is one of its people.
        everybody = {person.name: person for person in (*owner, *members[pk])}
        facts[pk] = mapping.Project(
            pk=pk,
            code=row.slug,
            title=row.name,
            pi=row.owner.username if owner else "",
            users=tuple(everybody),
            people=tuple(everybody.values()),
            same_code=rivals.get(pk, ()),
            kept=kept.get(pk, ""),
        )
    return facts


def _rivals(rows: Mapping[int, Any], kept: Mapping[int, str]) -> dict[int, tuple[int, ...]]:
    """Return, for each project without a request, those whose requests have its slug as code.

    Slugs are unique, but a project keeps the code of its first request when its slug is edited.
    """
    fresh = {pk: row.slug.lower() for pk, row in rows.items() if pk not in kept}
    held = earlier.codes(earlier.coded(set(fresh.values())))
    return {
        pk: rivals
        for pk, slug in fresh.items()
        if (rivals := tuple(sorted(other for other, code in held.items() if code.lower() == slug)))
    }


def _person(row: Any) -> mapping.Person:
    return mapping.Person(row.username, row.first_name, row.last_name, row.email)


def _chunks(keys: Collection[Any]) -> Iterator[list[Any]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
