"""What ColdFront says, as requests: pure functions over plain values.

Promises: what is returned as a document is right by the format; what cannot become one says what
has to be filled in, and where. The same facts give the same document. Leaves out: reading ColdFront
(`snapshots`), and when a request is written (`outbox`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.coldfront.asking import attributes
from provisioner.coldfront.asking.attributes import (
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
    given,
)
from provisioner.coldfront.asking.wanted import (
    Document,
    Wanted,
    checked,
    filled,
    is_mail,
    is_user,
    names,
    one_line,
    whole,
)

ENTITLED = ("Active", "Renewal Requested")
"""Statuses of an allocation in which its users have access, as in ColdFront's own Slurm plugin."""

CAUSE = "reconcile"
"""The one cause of suspensions from here: an allocation is entitled or it is not.

It is the cause that the service itself uses for what a manifest leaves out, so that an event gives
back what a manifest took, and the other way round.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What a centre chooses.

    projects: whether projects and their members are asked for, beside allocations;
    attributes: further allocation attributes, by the names they get in a request.
    """

    instance: str = "coldfront"
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

    kept: the code under which it was asked for before; people: the users and the PI, as persons.
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


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, with the one that it is a part of."""

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
    """Name the writer's order of what is said about one thing."""
    return f"{kind}-{of}"


# Allocations.


def resource_name(resource: Resource | None) -> str | None:
    """Say under which name the service knows a resource; None: it says nothing, and is left alone.

    A partition without a word of its own is what its cluster is.
    """
    while resource is not None:
        for attribute in (RESOURCE, CLUSTER):
            if said := given(resource.attributes, attribute):
                return said[0] if said[0] != NONE else None
        resource = resource.parent
    return None


def entitled(allocation: Allocation) -> bool:
    """Return True if the users of an allocation have access."""
    return allocation.status in ENTITLED and allocation.project.status != "Archived"


def provision(allocation: Allocation, options: Options) -> Wanted | None:
    """Say the whole of what an allocation should be; None: its resource is not provisioned."""
    resource = allocation.resource
    name = resource_name(resource)
    if resource is None or name is None:
        return None
    seen = _Seen(allocation)
    project, unknown = _project(allocation.project, options)
    users, strange = names(person.name for person in allocation.users)
    body: Document = {
        "id": str(allocation.pk),
        "resource": name,
        "project": project,
        "users": users,
        "attributes": {
            said: values[0] if len(values) == 1 else list(values)
            for attribute, said in sorted(options.attributes.items())
            if (values := given(allocation.attributes, attribute))
        },
    }
    places: dict[str, str] = {}
    clusters = _clusters(allocation)
    if clusters:
        body["slurm"] = _slurm(allocation, clusters, seen)
    spaces = attributes.spaces(allocation.attributes, options.quota_unit)
    if resource.kind == "Storage" or spaces:
        body["quota"] = {
            "space": seen.space(spaces, needed=resource.kind == "Storage"),
            "files": seen.one(FILES),
        }
        places["allocation.quota.space"] = f"the allocation attribute {next(iter(spaces), SPACE)!r}"
    body["storage"] = {
        "fileset": seen.one(FILESET),
        "path": seen.one(PATH),
        "kind": seen.one(KIND),
    }
    document = {"action": "allocation.provision", "allocation": filled(body)}
    return whole(checked(document, strange, places), (*unknown, *seen.problems), users)


def unused(allocation: Allocation, options: Options) -> tuple[str, ...]:
    """Name the attributes of an allocation that nothing which is asked for says."""
    used = {*options.attributes, FILESET, PATH, KIND}
    if _clusters(allocation):
        used |= {ACCOUNT, PARENT, SPECS, USER_SPECS}
    spaces = attributes.spaces(allocation.attributes, options.quota_unit)
    if spaces or (allocation.resource is not None and allocation.resource.kind == "Storage"):
        used |= {FILES, *spaces}
    used |= {f"{name}_attriblist" for name in used}
    there = (name for name in allocation.attributes if given(allocation.attributes, name))
    return tuple(sorted(name for name in there if name not in used))


def suspend(pk: int, status: str) -> Document:
    """Take the access of an allocation's users away."""
    reason = f"the allocation is {status} in ColdFront"
    return _access("allocation.suspend", pk, reason)


def resume(pk: int) -> Document:
    """Give the access of an allocation's users back."""
    return _access("allocation.resume", pk, "the allocation is active in ColdFront again")


def _access(action: str, pk: int, reason: str) -> Document:
    return {"action": action, "reason": reason, "allocation": {"id": str(pk)}, "cause": CAUSE}


def _clusters(allocation: Allocation) -> tuple[Resource, ...]:
    """List the resources of an allocation that belong to its cluster, its parent resource first."""
    attached = [one for one in (allocation.resource, *allocation.linked) if one is not None]
    on = [(one, name) for one in attached if (name := _cluster(one)) and resource_name(one)]
    return tuple(one for one, name in on if name == on[0][1])


def _cluster(resource: Resource | None) -> str:
    while resource is not None:
        if said := given(resource.attributes, CLUSTER):
            return said[0]
        resource = resource.parent
    return ""


def _slurm(allocation: Allocation, clusters: Sequence[Resource], seen: _Seen) -> Document:
    """Say what Slurm should know, as ColdFront's Slurm plugin would, but never of account root.

    A partition's `slurm_specs` are the account's; a cluster's are the cluster's own, and left out.
    """
    partitions = [
        one.attributes.get(SPECS, ()) for one in clusters if one.kind == "Cluster Partition"
    ]
    of_users = [one.attributes.get(USER_SPECS, ()) for one in clusters]
    return {
        "account": seen.one(ACCOUNT, needed=allocation.resource == clusters[0]),
        "parent": seen.one(PARENT),
        # Of two words about one limit the last counts, which is the allocation's own.
        "specs": _specs(*partitions, allocation.attributes.get(SPECS, ())),
        "user_specs": _specs(*of_users, allocation.attributes.get(USER_SPECS, ())),
    }


def _specs(*lists: Sequence[str]) -> str | None:
    """Join specs as they stand, each once: where one ends inside a text, Slurm's grammar says."""
    texts = (value.strip().strip(":") for values in lists for value in values)
    return ":".join(dict.fromkeys(text for text in texts if text)) or None


class _Seen:
    """Reads an allocation's attributes, and keeps what is wrong with them."""

    def __init__(self, allocation: Allocation) -> None:
        self._attributes = allocation.attributes
        self.problems: list[str] = []

    def one(self, attribute: str, *, needed: bool = False) -> str | None:
        values = tuple(dict.fromkeys(given(self._attributes, attribute)))
        if len(values) > 1:
            self.problems.append(
                f"the allocation attribute {attribute!r} stands there {len(values)} times"
                f" ({', '.join(values)}): leave one"
            )
        if not values:
            if needed:
                self.problems.append(f"fill in the allocation attribute {attribute!r}")
            return None
        return values[0]

    def space(self, units: Mapping[str, str], *, needed: bool) -> str | None:
        """Read how much space there is. units: of the attributes that say so."""
        if len(units) > 1:
            self.problems.append(f"the allocation has {' and '.join(map(repr, units))}: leave one")
        if not units:
            return self.one(SPACE, needed=needed)
        attribute, unit = next(iter(units.items()))
        return f"{self.one(attribute)} {unit}"


# Projects and people.


def project_code(project: Project, options: Options) -> str:
    """Name a project: by its code, or else by its number, as titles are not unique.

    One that was asked for keeps its name: what the backends have of it is called so.
    """
    return project.kept or project.code or options.project_code.format(pk=project.pk)


def provision_project(project: Project, options: Options) -> Wanted:
    """Say the whole of what a project's group should be, or that nothing is left of it."""
    said, problems = _project(project, options)
    if project.status == "Archived":
        wanted = checked({"action": "project.archive", "project": {"code": said["code"]}})
        return whole(wanted, problems, [])
    users, strange = names((project.pi, *project.users))
    body = {**said, "users": users}
    wanted = checked({"action": "project.provision", "project": filled(body)}, strange)
    return whole(wanted, problems, users)


def provision_user(person: Person) -> Wanted:
    """Say who a user is. Without a name that every backend takes there is no document."""
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


def _project(project: Project, options: Options) -> tuple[Document, tuple[str, ...]]:
    code = project_code(project, options)
    problems: tuple[str, ...] = ()
    if project.same_code:
        others = ", ".join(map(str, project.same_code))
        problems = (f"project {project.pk} has the code {code!r}, and so has project {others}:"
                    " give each its own",)  # fmt: skip
    pi = project.pi if is_user(project.pi) else None
    body = {"code": code, "title": one_line(project.title), "pi": pi, "gid": project.gid or None}
    return filled(body), problems
