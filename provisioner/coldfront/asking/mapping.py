"""Turns ColdFront's data into requests: pure functions over plain values.

Promises: a returned document is valid in the request format. If there is none, the problems say
what somebody has to fill in, and where. The same facts give the same document. Leaves out: reading
ColdFront (`snapshots`), and when a request is written (`outbox`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.coldfront.asking.wanted import (
    ACCOUNT,
    CLUSTER,
    FILES,
    FILESET,
    KIND,
    NONE,
    PARENT,
    PATH,
    RESOURCE,
    SPACE,
    SPECS,
    USER_SPECS,
    Attributes,
    Document,
    Wanted,
    checked,
    filled,
    given,
    is_mail,
    is_user,
    names,
    one_line,
    whole,
)
from provisioner.coldfront.asking.wanted import spaces as spaces_of

ENTITLED = ("Active", "Renewal Requested")
"""Statuses of an allocation in which its users have access, as in ColdFront's own Slurm plugin."""

CAUSE = "reconcile"
"""The cause of every suspension that ColdFront asks for.

The service uses the same cause for a subject that a manifest leaves out. So an event can end a
suspension that a manifest caused, and a manifest one that an event caused.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """A centre's options.

    allocation_id: an allocation's id in requests, by its key; projects: whether projects and their
    members become requests, beside allocations; attributes: the names in a request of further
    allocation attributes, by attribute.
    """

    instance: str = "coldfront"
    allocation_id: str = "{pk}"
    project_code: str = "cf{pk}"
    projects: bool = True
    quota_unit: str = "GB"
    attributes: Mapping[str, str] = field(
        default_factory=lambda: {
            "freeipa_group": "freeipa_group",
            "Storage_Group_Name": "storage_group",
        }
    )


@dataclass(frozen=True, slots=True)
class Person:
    """A user of ColdFront."""

    name: str
    first: str = ""
    last: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A project. users: the active ones; same_code: other projects that have its code.

    managers: the active ones beside the PI who take notifications;
    kept: its code in its last request, or ''; people: the users and the PI, as persons.
    """

    pk: int
    code: str = ""
    title: str = ""
    pi: str = ""
    status: str = "Active"
    users: tuple[str, ...] = ()
    gid: str = ""
    same_code: tuple[int, ...] = ()
    kept: str = ""
    people: tuple[Person, ...] = ()
    managers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, with the resource that it is a part of."""

    name: str
    kind: str
    attributes: Attributes = field(default_factory=dict)
    parent: Resource | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """An allocation with its parent resource.

    users: the entitled ones; linked: the other resources that it is on.
    """

    pk: int
    status: str
    project: Project
    resource: Resource | None
    attributes: Attributes = field(default_factory=dict)
    users: tuple[Person, ...] = ()
    linked: tuple[Resource, ...] = ()


def key_of(kind: str, of: object) -> str:
    """Return the key under which the requests about one thing have their order."""
    return f"{kind}-{of}"


# Allocations.


def resource_name(resource: Resource | None) -> str | None:
    """Return the service's name of a resource; None: the resource is not provisioned.

    A resource without a name of its own, such as a partition, has the name of its parent.
    """
    while resource is not None:
        for attribute in (RESOURCE, CLUSTER):
            if values := given(resource.attributes, attribute):
                return values[0] if values[0] != NONE else None
        resource = resource.parent
    return None


def entitled(allocation: Allocation) -> bool:
    """Return True if the users of an allocation have access."""
    return allocation.status in ENTITLED and allocation.project.status != "Archived"


def provision(allocation: Allocation, options: Options) -> Wanted | None:
    """Return the complete request for an allocation; None: its resource is not provisioned."""
    resource = allocation.resource
    name = resource_name(resource)
    if resource is None or name is None:
        return None
    read = _Attributes(allocation)
    project, unknown = project_part(allocation.project, options)
    users, strange = names(person.name for person in allocation.users)
    body: Document = {
        "id": allocation_id(allocation.pk, options),
        "resource": name,
        "project": project,
        "users": users,
        "attributes": {
            key: values[0] if len(values) == 1 else list(values)
            for attribute, key in sorted(options.attributes.items())
            if (values := given(allocation.attributes, attribute))
        },
    }
    places: dict[str, str] = {}
    clusters = _clusters(allocation)
    if clusters:
        body["slurm"] = _slurm(allocation, clusters, read)
    spaces = spaces_of(allocation.attributes, options.quota_unit)
    if resource.kind == "Storage" or spaces:
        body["quota"] = {
            "space": read.space(spaces, needed=resource.kind == "Storage"),
            "files": read.value(FILES),
        }
        places["allocation.quota.space"] = f"the allocation attribute {next(iter(spaces), SPACE)!r}"
    body["storage"] = {
        "fileset": read.value(FILESET),
        "path": read.value(PATH),
        "kind": read.value(KIND),
    }
    document = {"action": "allocation.provision", "allocation": filled(body)}
    return whole(checked(document, strange, places), (*unknown, *read.problems), users)


def unused(allocation: Allocation, options: Options) -> tuple[str, ...]:
    """Return the filled-in attributes of an allocation that its request does not use."""
    used = {*options.attributes, FILESET, PATH, KIND}
    if _clusters(allocation):
        used |= {ACCOUNT, PARENT, SPECS, USER_SPECS}
    spaces = spaces_of(allocation.attributes, options.quota_unit)
    if spaces or (allocation.resource is not None and allocation.resource.kind == "Storage"):
        used |= {FILES, *spaces}
    used |= {f"{name}_attriblist" for name in used}
    there = (name for name in allocation.attributes if given(allocation.attributes, name))
    return tuple(sorted(name for name in there if name not in used))


def allocation_id(pk: int, options: Options) -> str:
    """Return the id by which the service knows an allocation."""
    return options.allocation_id.format(pk=pk)


def suspend(pk: int, status: str, options: Options) -> Document:
    """Return a request that takes away the access of an allocation's users."""
    reason = f"the allocation is {status} in ColdFront"
    return _access("allocation.suspend", allocation_id(pk, options), reason)


def resume(pk: int, options: Options) -> Document:
    """Return a request that gives back the access of an allocation's users."""
    reason = "the allocation is active in ColdFront again"
    return _access("allocation.resume", allocation_id(pk, options), reason)


def _access(action: str, name: str, reason: str) -> Document:
    return {"action": action, "reason": reason, "allocation": {"id": name}, "cause": CAUSE}


def _clusters(allocation: Allocation) -> tuple[Resource, ...]:
    """Return the resources of an allocation on its cluster, its parent resource first."""
    attached = [
        resource for resource in (allocation.resource, *allocation.linked) if resource is not None
    ]
    on = [
        (resource, name)
        for resource in attached
        if (name := _cluster(resource)) and resource_name(resource)
    ]
    return tuple(resource for resource, name in on if name == on[0][1])


def _cluster(resource: Resource | None) -> str:
    while resource is not None:
        if values := given(resource.attributes, CLUSTER):
            return values[0]
        resource = resource.parent
    return ""


def _slurm(allocation: Allocation, clusters: Sequence[Resource], read: _Attributes) -> Document:
    """Return the Slurm part of a request, with the rules of ColdFront's Slurm plugin.

    It never concerns the account root: a partition's `slurm_specs` apply to the allocation's
    account, and a cluster's `slurm_specs`, which are the cluster's own, are left out.
    """
    partitions = [
        resource.attributes.get(SPECS, ())
        for resource in clusters
        if resource.kind == "Cluster Partition"
    ]
    of_users = [resource.attributes.get(USER_SPECS, ()) for resource in clusters]
    return {
        "account": read.value(ACCOUNT, needed=allocation.resource == clusters[0]),
        "parent": read.value(PARENT),
        # If a limit appears twice, the last value counts, so the allocation's value comes last.
        "specs": _specs(*partitions, allocation.attributes.get(SPECS, ())),
        "user_specs": _specs(*of_users, allocation.attributes.get(USER_SPECS, ())),
    }


def _specs(*lists: Sequence[str]) -> str | None:
    """Join unparsed specs with ":", each once; only Slurm's grammar knows where a spec ends."""
    texts = (value.strip().strip(":") for values in lists for value in values)
    return ":".join(dict.fromkeys(text for text in texts if text)) or None


class _Attributes:
    """An allocation's attributes, and the problems found while reading them."""

    def __init__(self, allocation: Allocation) -> None:
        self._attributes = allocation.attributes
        self.problems: list[str] = []

    def value(self, attribute: str, *, needed: bool = False) -> str | None:
        values = tuple(dict.fromkeys(given(self._attributes, attribute)))
        if len(values) > 1:
            self.problems.append(
                f"the allocation attribute {attribute!r} has {len(values)} values"
                f" ({', '.join(values)}): keep only one"
            )
        if not values:
            if needed:
                self.problems.append(f"fill in the allocation attribute {attribute!r}")
            return None
        return values[0]

    def space(self, units: Mapping[str, str], *, needed: bool) -> str | None:
        """Return the amount of space with its unit. units: by attribute, from `spaces`."""
        if len(units) > 1:
            self.problems.append(
                f"the allocation has {' and '.join(map(repr, units))}: keep only one"
            )
        if not units:
            return self.value(SPACE, needed=needed)
        attribute, unit = next(iter(units.items()))
        return f"{self.value(attribute)} {unit}"


# Projects and people.


def project_code(project: Project, options: Options) -> str:
    """Return the code of a project: its own, or one made of its number; titles are not unique.

    A project keeps the code of its last request, because the backends use that name for it.
    """
    return project.kept or project.code or options.project_code.format(pk=project.pk)


def provision_project(project: Project, options: Options) -> Wanted:
    """Return the complete request for a project's group; for an archived project, to archive it."""
    described, problems = project_part(project, options)
    if project.status == "Archived":
        wanted = checked({"action": "project.archive", "project": {"code": described["code"]}})
        return whole(wanted, problems, [])
    users, strange = names((project.pi, *project.users))
    body = {**described, "users": users}
    wanted = checked({"action": "project.provision", "project": filled(body)}, strange)
    return whole(wanted, problems, users)


def provision_user(person: Person) -> Wanted:
    """Return the request for a user; without a document if a backend would not take the name."""
    full = f"{person.first} {person.last}".strip()
    body = {
        "name": person.name,
        "full_name": one_line(full),
        "given_name": one_line(person.first),
        "surname": one_line(person.last),
        "email": person.email if is_mail(person.email) else None,
    }
    _, strange = names([person.name])
    if strange:
        return Wanted(None, strange)
    return checked({"action": "user.provision", "user": filled(body)})


def project_part(project: Project, options: Options) -> tuple[Document, tuple[str, ...]]:
    """Return how requests describe a project, and what is wrong with that."""
    code = project_code(project, options)
    problems: tuple[str, ...] = ()
    if project.same_code:
        others = ", ".join(map(str, project.same_code))
        problems = (f"project {project.pk} has the code {code!r}, and so has project {others}:"
                    " give each project its own code",)  # fmt: skip
    pi = project.pi if is_user(project.pi) else None
    body = {
        "code": code,
        "title": one_line(project.title),
        "pi": pi,
        "managers": [name for name in project.managers if is_user(name)] or None,
        "gid": project.gid or None,
    }
    return filled(body), problems
