"""Turns ColdFront 2's data into requests: pure functions over plain values.

Promises: as in `provisioner.coldfront.asking.mapping`, which also maps people and projects; here is
what differs. Leaves out: reading ColdFront (`reading`), and the limits of Slurm (`limits`).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from provisioner.coldfront.asking import mapping
from provisioner.coldfront.asking.wanted import (
    FILESET,
    KIND,
    NONE,
    Document,
    Wanted,
    checked,
    filled,
    names,
    whole,
)
from provisioner.coldfront2 import limits

APPROVED, ACTIVE, RENEW = "approved", "active", "renew"
"""Statuses that may give access: what is approved is set up, and is active when that is done."""

FIELD = "provisioner_resource"
"""The custom field of resources with their names in requests."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource with its parents. given: the custom field `FIELD`, or ''.

    cluster: of a partition, the cluster's name; of a cluster, its own.
    """

    kind: Literal["cluster", "partition", "storage", "other"]
    name: str
    given: str = ""
    cluster: str = ""
    parent: Resource | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A storage quota. mode: a decimal integer whose digits are the mode's octal ones, as 2770."""

    path: str = ""
    mode: int | None = None
    owning_user: str = ""
    owning_group: str = ""
    hard_bytes: int | None = None
    hard_files: int | None = None
    soft_bytes: int | None = None
    soft_files: int | None = None
    grace: datetime.timedelta | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """An allocation.

    over: its end date is past; had: whether its users had access by the last request; users: of its
    project, with the owner; data: its `attribute_data`; group: the project's group.
    """

    pk: int
    status: str
    project: mapping.Project
    resource: Resource | None
    users: tuple[mapping.Person, ...] = ()
    over: bool = False
    had: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    association: limits.Association | None = None
    quota: Quota | None = None


def entitled(allocation: Allocation) -> bool:
    """Return True if the users of an allocation should have access.

    A renewal is asked for from four statuses; until somebody decides, it keeps what there was.
    """
    if allocation.over:
        return False
    return allocation.status in (APPROVED, ACTIVE) or (
        allocation.status == RENEW and allocation.had
    )


def ended(status: str, *, over: bool) -> str:
    """Return how requests call the status of an allocation without access."""
    if over and status in (APPROVED, ACTIVE, RENEW):
        return "past its end date"
    return "waiting for its renewal" if status == RENEW else status


def resource_name(resource: Resource | None) -> str | None:
    """Return the service's name of a resource; None: it is not provisioned.

    A resource without a name of its own has its parent's, and a cluster its own name.
    """
    while resource is not None:
        if given := resource.given.strip():
            return given if given != NONE else None
        if resource.kind == "cluster":
            return resource.name
        resource = resource.parent
    return None


def provision(
    allocation: Allocation, options: mapping.Options, *, paths: bool = False
) -> Wanted | None:
    """Return the complete request for an allocation; None: its resource is not provisioned.

    paths: the service takes paths from this writer, so the quota's is sent.
    """
    resource, name = allocation.resource, resource_name(allocation.resource)
    if resource is None or name is None:
        return None
    project, unknown = mapping.project_part(allocation.project, options)
    users, strange = names(person.name for person in allocation.users)
    slurm, unlimited = _slurm(allocation, resource)
    quota, unbounded = _quota(allocation, resource)
    body: Document = {
        "id": mapping.allocation_id(allocation.pk, options),
        "resource": name,
        "project": project,
        "users": users,
        "attributes": _attributes(allocation, options),
        "slurm": slurm,
        "quota": quota,
        "storage": {
            "fileset": _text(allocation.data.get(FILESET)),
            "kind": _text(allocation.data.get(KIND)),
            "path": (allocation.quota.path or None) if allocation.quota and paths else None,
        },
    }
    document = {"action": "allocation.provision", "allocation": filled(body)}
    missing = (*unknown, *unlimited, *unbounded)
    return whole(checked(document, strange, _FILLED_IN), missing, users)


def _slurm(allocation: Allocation, resource: Resource) -> tuple[Document, tuple[str, ...]]:
    """Return the Slurm part of a request, and what somebody has to fill in."""
    if resource.kind not in ("cluster", "partition"):
        return {}, ()
    association = allocation.association
    if association is None:
        return {}, ("add the allocation's Slurm association",)
    account = () if association.account else (
        "choose the Slurm account in the allocation's Slurm association",
    )  # fmt: skip
    of_users, wrong = limits.of_users(association)
    part = {
        "account": association.account or None,
        "parent": association.parent or None,
        "fairshare": association.account_fairshare,
        "specs": limits.of_account(association) or None,
        "user_specs": of_users or None,
        "partitions": [resource.name] if resource.kind == "partition" else None,
    }
    return part, (*account, *wrong)


def _quota(allocation: Allocation, resource: Resource) -> tuple[Document, tuple[str, ...]]:
    """Return the quota in a request, and what somebody has to fill in."""
    quota = allocation.quota
    if resource.kind != "storage":
        return {}, ()
    if quota is None:
        return {}, ("add the allocation's storage quota",)
    missing = () if quota.hard_bytes is not None else (
        "fill in the hard limit of the allocation's storage quota",
    )  # fmt: skip
    return {"space": quota.hard_bytes, "files": quota.hard_files}, missing


def _attributes(allocation: Allocation, options: mapping.Options) -> Document:
    """Return what no key of a request is for, under names that a site's routes can use."""
    own = {
        name: text
        for key, name in sorted(options.attributes.items())
        if (text := _text(allocation.data.get(key)))
    }
    quota = allocation.quota or Quota()
    given = {
        "group": allocation.group,
        "owning_user": quota.owning_user,
        "owning_group": quota.owning_group,
        "path_mode": mode(quota.mode),
        "soft_space": _text(quota.soft_bytes),
        "soft_files": _text(quota.soft_files),
        "grace_seconds": str(int(quota.grace.total_seconds())) if quota.grace else "",
    }
    return {**{name: text for name, text in given.items() if text}, **own}


def mode(kept: int | None) -> str:
    """Return a mode as people and `chmod` write it: ColdFront keeps 2770 as the number 2770."""
    return "" if kept is None else f"{kept:04d}"


def _text(value: object) -> str | None:
    """Return a value of `attribute_data` as text; None if it is none, or has parts."""
    if value is None or isinstance(value, (Mapping, list)):
        return None
    return str(value).strip() or None


_FILLED_IN: Mapping[str, str] = {
    "allocation.resource": f"the resource's custom field {FIELD!r}",
    "allocation.project.code": "the project's slug",
    "allocation.slurm.account": "the Slurm account's name",
    "allocation.slurm.parent": "the parent account's name",
    "allocation.slurm.partitions": "the partition's name",
    "allocation.slurm.specs": "the quality of service of the Slurm account",
    "allocation.slurm.user_specs": "the limits of the Slurm association",
    "allocation.quota.space": "the hard limit of the storage quota",
    "allocation.quota.files": "the hard limit of files of the storage quota",
    "allocation.storage.fileset": f"the allocation's attribute {FILESET!r}",
    "allocation.storage.kind": f"the allocation's attribute {KIND!r}",
    "allocation.storage.path": "the path of the storage quota",
}
"""The place in ColdFront 2 where somebody fills in the value of a request's key."""
