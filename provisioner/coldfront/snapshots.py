"""Reads ColdFront's tables into the plain values of `mapping`.

Promises: the number of queries grows by one round for each 500 allocations; the parent resource is
the one that ColdFront itself shows. Leaves out: what the values mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from coldfront.core import attribute_expansion as expansion
from coldfront.core.allocation.models import (
    ALLOCATION_RESOURCE_ORDERING,
    Allocation,
    AllocationAttribute,
    AllocationUser,
)
from coldfront.core.project.models import Project, ProjectAttribute, ProjectUser
from coldfront.core.resource.models import Resource, ResourceAttribute
from django.contrib.auth.models import User

from provisioner.coldfront.asking import earlier, mapping, options
from provisioner.coldfront.asking.wanted import GID
from provisioner.coldfront.models import Made

_CHUNK = 500
"""Keys in one query, below the number of parameters that SQLite takes in one statement."""

_MANAGER = "Manager"
"""The role of a project's users who look after it."""

PENDING = "Pending"
"""The status of an allocation user who is not ready yet, if a centre opts in."""

BASELINE = "baseline"
"""The mark that a centre has opted in once."""


def allocations(
    chosen: Collection[int], *, with_user: tuple[int, int] | None = None
) -> Iterator[mapping.Allocation]:
    """Read allocations by their keys; skip those that no longer exist.

    with_user: an allocation and one of its users who gets access, although the row does not say so
    yet.
    """
    resources = _Resources()
    for keys in _chunks(chosen):
        rows = list(
            Allocation.objects.filter(pk__in=keys)
            .select_related("status", "project__status", "project__pi")
            .order_by("pk")
        )
        projects = {resource.pk: resource for resource in _projects([row.project for row in rows])}
        attributes = _attributes(
            AllocationAttribute, "allocation_id", "allocation_attribute_type", keys
        )
        parents = resources.of_allocations(keys)
        users = _users(keys, with_user)
        for row in rows:
            attached = parents.get(row.pk, [])
            holders = [_Holder(resources.values(resource.pk)) for resource in attached]
            own = _expanded(attributes.get(row.pk, []), holders)
            yield mapping.Allocation(
                pk=row.pk,
                status=row.status.name,
                project=projects[row.project_id],
                resource=resources.read(attached[0].pk) if attached else None,
                attributes=own,
                users=tuple(users.get(row.pk, ())),
                linked=tuple(resources.read(resource.pk) for resource in attached[1:]),
            )


def entitled() -> list[int]:
    """Return the keys of the allocations whose users have access."""
    rows = Allocation.objects.filter(status__name__in=mapping.ENTITLED)
    return list(
        rows.exclude(project__status__name="Archived").order_by("pk").values_list("pk", flat=True)
    )


def projects(chosen: Collection[int]) -> Iterator[mapping.Project]:
    """Read projects by their keys; skip those that no longer exist."""
    for keys in _chunks(chosen):
        rows = Project.objects.filter(pk__in=keys).select_related("status", "pi").order_by("pk")
        yield from _projects(list(rows))


def living_projects() -> list[int]:
    """Return the keys of the projects that are not archived."""
    rows = Project.objects.exclude(status__name="Archived")
    return list(rows.order_by("pk").values_list("pk", flat=True))


def resource_names(chosen: Collection[int]) -> dict[int, str]:
    """Return the name of the parent resource that ColdFront shows for each allocation."""
    resources = _Resources()
    names: dict[int, str] = {}
    for keys in _chunks(chosen):
        listed = resources.of_allocations(keys)
        names |= {pk: rows[0].name for pk, rows in listed.items()}
    return names


def resources() -> list[mapping.Resource]:
    """Read all resources that can have allocations."""
    every = _Resources()
    return [every.read(pk) for pk in every.allocatable()]


# Projects.


def _projects(rows: Sequence[Any]) -> list[mapping.Project]:
    keys = {row.pk for row in rows}
    members: dict[int, list[mapping.Person]] = {}
    managers: dict[int, list[str]] = {}
    leaders = {row.pk: row.pi_id for row in rows}
    active = ProjectUser.objects.filter(
        project__in=keys, status__name="Active", user__is_active=True
    ).order_by("user__username")
    for member in active.select_related("user", "role"):
        members.setdefault(member.project_id, []).append(person(member.user))
        manages = member.role.name == _MANAGER and member.enable_notifications
        if manages and member.user_id != leaders[member.project_id]:
            managers.setdefault(member.project_id, []).append(member.user.username)
    rows_of_gids = ProjectAttribute.objects.filter(project__in=keys, proj_attr_type__name=GID)
    gids = dict(rows_of_gids.order_by("-pk").values_list("project_id", "value"))
    kept = earlier.codes(keys)
    same = _same_codes(rows, kept)
    return [
        mapping.Project(
            pk=row.pk,
            code=row.project_code,
            title=row.title,
            pi=row.pi.username if row.pi.is_active else "",
            status=row.status.name,
            users=tuple(member.name for member in members.get(row.pk, ())),
            people=(*([person(row.pi)] if row.pi.is_active else []), *members.get(row.pk, ())),
            managers=tuple(managers.get(row.pk, ())),
            gid=gids.get(row.pk, ""),
            same_code=same.get(row.pk, ()),
            kept=kept.get(row.pk, ""),
        )
        for row in {row.pk: row for row in rows}.values()
    ]


def _same_codes(rows: Sequence[Any], kept: Mapping[int, str]) -> Mapping[int, tuple[int, ...]]:
    """Return the rivals of each project that would get a code which another project has, too.

    kept: the codes of projects in earlier requests. A later project never blocks an earlier one.
    """
    chosen = options.mapping()
    codes = {
        row.pk: mapping.project_code(
            mapping.Project(row.pk, row.project_code, kept=kept.get(row.pk, "")), chosen
        ).lower()
        for row in rows
    }
    taken: dict[str, set[int]] = {}
    for pk, code in codes.items():
        taken.setdefault(code, set()).add(pk)
    named = Project.objects.exclude(project_code="").values_list("pk", "project_code")
    others = {pk: code for pk, code in named if code.lower() in taken and pk not in codes}
    held = earlier.coded(taken.keys()) - codes.keys()
    there = Project.objects.filter(pk__in=held).values_list("pk", "project_code")
    others |= dict(there)
    theirs = earlier.codes(others.keys())
    for pk, code in others.items():
        taken.get(theirs.get(pk, code).lower(), set()).add(pk)
    before = kept.keys() | theirs.keys()
    rivals_of = {}
    for pk, code in codes.items():
        rivals = taken[code] - {pk}
        rivals_of[pk] = tuple(sorted(rivals & before if pk in before else rivals))
    return {pk: rivals for pk, rivals in rivals_of.items() if rivals}


# Users.


def were_pending() -> bool:
    """Return True if the app has ever shown users as Pending; else that status is the centre's own.

    The option does not count: switching it off must take access from nobody.
    """
    return bool(Made.objects.filter(model=BASELINE).exists())


def _users(
    keys: Sequence[int], with_user: tuple[int, int] | None
) -> Mapping[int, list[mapping.Person]]:
    allowed = ["Active", PENDING] if were_pending() else ["Active"]
    rows = (
        AllocationUser.objects.filter(allocation__in=keys, user__is_active=True)
        .select_related("user", "status")
        .order_by("user__username")
    )
    people: dict[int, list[mapping.Person]] = {}
    for row in rows:
        if row.status.name in allowed or (row.allocation_id, row.pk) == with_user:
            people.setdefault(row.allocation_id, []).append(person(row.user))
    return people


def people(names: Collection[str]) -> Iterator[mapping.Person]:
    """Read users by their names; skip those who no longer exist or may not log in."""
    for some in _chunks(names):
        for row in User.objects.filter(username__in=some, is_active=True).order_by("username"):
            yield person(row)


def person(user: Any) -> mapping.Person:
    """Return a user of ColdFront as a plain value."""
    return mapping.Person(user.username, user.first_name, user.last_name, user.email)


# Attributes and resources.


class _Holder:
    """Gives `attribute_expansion` the values that were already read."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def get_attribute(self, name: str) -> object:
        values = self._values.get(name, ())
        return _typed(values[0]) if values else None

    def get_attribute_list(self, name: str) -> list[str]:
        return list(self._values.get(name, ()))


def _typed(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _attributes(model: Any, of: str, kind: str, keys: Collection[int]) -> Mapping[int, list[Any]]:
    """Return (name, value, whether ColdFront expands it), in row order, by the owner's key."""
    by_row: dict[int, list[Any]] = {}
    rows = model.objects.filter(**{f"{of}__in": keys}).order_by("pk")
    for pk, name, value, base in rows.values_list(
        of, f"{kind}__name", "value", f"{kind}__attribute_type__name"
    ):
        by_row.setdefault(pk, []).append(
            (name, value, base.startswith(expansion.ATTRIBUTE_EXPANSION_TYPE_PREFIX))
        )
    return by_row


def _grouped(listed: Iterable[tuple[str, str, bool]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, tuple[str, ...]] = {}
    for name, value, _ in listed:
        grouped[name] = (*grouped.get(name, ()), value)
    return grouped


def _expanded(
    listed: Sequence[tuple[str, str, bool]], resources: Sequence[_Holder]
) -> dict[str, tuple[str, ...]]:
    """Expand attributes that contain the values of others, as ColdFront does."""
    raw = _grouped(listed)
    holder = _Holder(raw)
    for name in {name for name, _, expandable in listed if expandable}:
        parameters = expansion.get_attriblist_str(name, resources, [holder])
        if parameters:
            raw[name] = tuple(
                str(expansion.expand_attribute(value, name, parameters, resources, [holder]))
                for value in raw[name]
            )
    return raw


class _Resources:
    """The resources of ColdFront, read once, because there are few."""

    def __init__(self) -> None:
        self._rows: dict[int, Any] | None = None
        self._listed: Mapping[int, Sequence[tuple[str, str, bool]]] = {}
        self._values: dict[int, Mapping[str, tuple[str, ...]]] = {}

    def of_allocations(self, keys: Collection[int]) -> Mapping[int, list[Any]]:
        """Return each allocation's resources, its parent resource first.

        The order is that of ColdFront's `get_parent_resource`, and the database's own.
        """
        links = Allocation.resources.through.objects.filter(allocation__in=keys)
        pairs = list(links.values_list("allocation_id", "resource_id"))
        if not pairs:
            return {}
        rows = self._all()
        rank = {pk: number for number, pk in enumerate(rows)}
        by_allocation: dict[int, list[Any]] = {}
        for allocation, resource in sorted(pairs, key=lambda pair: rank[pair[1]]):
            by_allocation.setdefault(allocation, []).append(rows[resource])
        return by_allocation

    def values(self, pk: int) -> Mapping[str, tuple[str, ...]]:
        """Return a resource's attributes; expand them only now, because ColdFront logs errors."""
        if pk not in self._values:
            listed = self._listed.get(pk, ())
            self._values[pk] = _expanded(listed, [_Holder(_grouped(listed))])
        return self._values[pk]

    def read(self, pk: int, above: Counter[int] | None = None) -> mapping.Resource:
        """Return a resource with its parents; stop where the parents form a circle."""
        row = self._all()[pk]
        above = above or Counter()
        above[pk] += 1
        parent = row.parent_resource_id
        return mapping.Resource(
            name=row.name,
            kind=row.resource_type.name,
            attributes=self.values(pk),
            parent=self.read(parent, above) if parent and not above[parent] else None,
        )

    def allocatable(self) -> list[int]:
        """Return the keys of the resources that can have allocations, in ColdFront's order."""
        return [pk for pk, row in self._all().items() if row.is_allocatable]

    def _all(self) -> Mapping[int, Any]:
        if self._rows is None:
            ordered = Resource.objects.order_by(*ALLOCATION_RESOURCE_ORDERING)
            self._rows = {row.pk: row for row in ordered.select_related("resource_type")}
            self._listed = _attributes(
                ResourceAttribute, "resource_id", "resource_attribute_type", list(self._rows)
            )
        return self._rows


def _chunks(keys: Collection[Any]) -> Iterator[list[Any]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
