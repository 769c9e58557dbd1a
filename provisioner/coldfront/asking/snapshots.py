"""Reads what ColdFront says, as the plain values of `mapping`.

Promises: the number of queries does not grow with the number of allocations, beyond one round for
each five hundred; the parent resource is the one that ColdFront itself shows. Leaves out: what it
means.
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
from provisioner.coldfront.asking.attributes import GID

_CHUNK = 500
"""Rows asked for at once: below the parameters that SQLite takes in one statement."""

PENDING = "Pending"
"""The status of an allocation user for whom not everything is in place, where a centre opts in."""


def allocations(
    chosen: Collection[int], *, with_user: tuple[int, int] | None = None
) -> Iterator[mapping.Allocation]:
    """Read allocations by their keys; those that are gone are left out.

    with_user: an allocation and one of its users who is let in, though the row does not say so yet.
    """
    resources = _Resources()
    for keys in _chunks(chosen):
        rows = list(
            Allocation.objects.filter(pk__in=keys)
            .select_related("status", "project__status", "project__pi")
            .order_by("pk")
        )
        projects = {one.pk: one for one in _projects([row.project for row in rows])}
        attributes = _attributes(
            AllocationAttribute, "allocation_id", "allocation_attribute_type", keys
        )
        parents = resources.of_allocations(keys)
        users = _users(keys, with_user)
        for row in rows:
            attached = parents.get(row.pk, [])
            holders = [_Holder(resources.values(one.pk)) for one in attached]
            own = _expanded(attributes.get(row.pk, []), holders)
            yield mapping.Allocation(
                pk=row.pk,
                status=row.status.name,
                project=projects[row.project_id],
                resource=resources.read(attached[0].pk) if attached else None,
                attributes=own,
                users=tuple(users.get(row.pk, ())),
                linked=tuple(resources.read(one.pk) for one in attached[1:]),
            )


def entitled() -> list[int]:
    """List the allocations whose users have access."""
    found = Allocation.objects.filter(status__name__in=mapping.ENTITLED)
    return list(
        found.exclude(project__status__name="Archived").order_by("pk").values_list("pk", flat=True)
    )


def projects(chosen: Collection[int]) -> Iterator[mapping.Project]:
    """Read projects by their keys; those that are gone are left out."""
    for keys in _chunks(chosen):
        rows = Project.objects.filter(pk__in=keys).select_related("status", "pi").order_by("pk")
        yield from _projects(list(rows))


def living_projects() -> list[int]:
    """List the projects that are not archived."""
    found = Project.objects.exclude(status__name="Archived")
    return list(found.order_by("pk").values_list("pk", flat=True))


def resource_names(chosen: Collection[int]) -> dict[int, str]:
    """Name the resource that ColdFront shows as each allocation's parent."""
    resources = _Resources()
    found: dict[int, str] = {}
    for keys in _chunks(chosen):
        listed = resources.of_allocations(keys)
        found |= {pk: rows[0].name for pk, rows in listed.items()}
    return found


# Projects.


def _projects(rows: Sequence[Any]) -> list[mapping.Project]:
    keys = {row.pk for row in rows}
    members: dict[int, list[mapping.Person]] = {}
    active = ProjectUser.objects.filter(
        project__in=keys, status__name="Active", user__is_active=True
    ).order_by("user__username")
    for one in active.select_related("user"):
        members.setdefault(one.project_id, []).append(person(one.user))
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
            users=tuple(one.name for one in members.get(row.pk, ())),
            people=(*([person(row.pi)] if row.pi.is_active else []), *members.get(row.pk, ())),
            gid=gids.get(row.pk, ""),
            same_code=same.get(row.pk, ()),
            kept=kept.get(row.pk, ""),
        )
        for row in {row.pk: row for row in rows}.values()
    ]


def _same_codes(rows: Sequence[Any], kept: Mapping[int, str]) -> Mapping[int, tuple[int, ...]]:
    """Find the projects that would get a code that another has, too.

    kept: the codes of those that were asked for. Who came first is not stopped by who comes later.
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
    found = {}
    for pk, code in codes.items():
        rivals = taken[code] - {pk}
        found[pk] = tuple(sorted(rivals & before if pk in before else rivals))
    return {pk: rivals for pk, rivals in found.items() if rivals}


# Users.


def _users(
    keys: Sequence[int], with_user: tuple[int, int] | None
) -> Mapping[int, list[mapping.Person]]:
    allowed = ["Active", PENDING] if options.pending() else ["Active"]
    rows = (
        AllocationUser.objects.filter(allocation__in=keys, user__is_active=True)
        .select_related("user", "status")
        .order_by("user__username")
    )
    found: dict[int, list[mapping.Person]] = {}
    for row in rows:
        if row.status.name in allowed or (row.allocation_id, row.pk) == with_user:
            found.setdefault(row.allocation_id, []).append(person(row.user))
    return found


def people(names: Collection[str]) -> Iterator[mapping.Person]:
    """Read users by their names; those who are gone or may not log in are left out."""
    for some in _chunks(names):
        for row in User.objects.filter(username__in=some, is_active=True).order_by("username"):
            yield person(row)


def person(user: Any) -> mapping.Person:
    """Read a user of ColdFront."""
    return mapping.Person(user.username, user.first_name, user.last_name, user.email)


# Attributes and resources.


class _Holder:
    """Answers `attribute_expansion` from what was read already."""

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
    """Read attributes as (name, value, whether ColdFront expands it), in order of their rows."""
    found: dict[int, list[Any]] = {}
    rows = model.objects.filter(**{f"{of}__in": keys}).order_by("pk")
    for pk, name, value, base in rows.values_list(
        of, f"{kind}__name", "value", f"{kind}__attribute_type__name"
    ):
        found.setdefault(pk, []).append(
            (name, value, base.startswith(expansion.ATTRIBUTE_EXPANSION_TYPE_PREFIX))
        )
    return found


def _grouped(listed: Iterable[tuple[str, str, bool]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value, _ in listed:
        found[name] = (*found.get(name, ()), value)
    return found


def _expanded(
    listed: Sequence[tuple[str, str, bool]], resources: Sequence[_Holder]
) -> dict[str, tuple[str, ...]]:
    """Fill in what an attribute takes from others, as ColdFront does."""
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
    """The resources of ColdFront, of which there are few: read once."""

    def __init__(self) -> None:
        self._rows: dict[int, Any] | None = None
        self._listed: Mapping[int, Sequence[tuple[str, str, bool]]] = {}
        self._values: dict[int, Mapping[str, tuple[str, ...]]] = {}

    def of_allocations(self, keys: Collection[int]) -> Mapping[int, list[Any]]:
        """List each allocation's resources, its parent resource first.

        The order is that of ColdFront's `get_parent_resource`, and the database's own.
        """
        links = Allocation.resources.through.objects.filter(allocation__in=keys)
        pairs = list(links.values_list("allocation_id", "resource_id"))
        if not pairs:
            return {}
        rows = self._all()
        rank = {pk: number for number, pk in enumerate(rows)}
        found: dict[int, list[Any]] = {}
        for allocation, resource in sorted(pairs, key=lambda pair: rank[pair[1]]):
            found.setdefault(allocation, []).append(rows[resource])
        return found

    def values(self, pk: int) -> Mapping[str, tuple[str, ...]]:
        """Give a resource's attributes; ColdFront's expansion complains, so only when asked for."""
        if pk not in self._values:
            listed = self._listed.get(pk, ())
            self._values[pk] = _expanded(listed, [_Holder(_grouped(listed))])
        return self._values[pk]

    def read(self, pk: int, above: Counter[int] | None = None) -> mapping.Resource:
        """Read a resource with those that it is a part of; a circle of parents ends."""
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
