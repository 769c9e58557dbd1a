"""Subjects: the people, projects and allocations that requests are about.

Promises: the one description of their keys. `glimpse` never raises, and believes nothing: what it
returns is shown, searched and compared, and no claim follows from it. Leaves out: what a request
asks for (`actions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from provisioner.request.documents import InvalidDocument, parse
from provisioner.request.values import (
    AbsolutePath,
    Code,
    Count,
    Free,
    Id,
    Line,
    Mail,
    Phrase,
    Size,
    Specs,
    UserName,
)


class Part(BaseModel):
    """A mapping in a request: only known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UsersFile(Part):
    """A companion file with the users, one name on each line, if there are many."""

    file: Code = Field(description="its name in staging", examples=["42.users"])
    size: Count = Field(description="its bytes")
    sha256: str = Field(description="its SHA-256", pattern=r"^[0-9a-f]{64}$")


def _alone(value: UsersFile | None, info: ValidationInfo) -> UsersFile | None:
    if value is not None and info.data.get("users"):
        raise ValueError("is beside `users`; expected one of the two")
    return value


UsersInFile = Annotated[UsersFile | None, AfterValidator(_alone)]


class OrderPart(Part):
    """The writer's own order of its requests."""

    key: Line = Field(description="what is ordered", examples=["allocation-42"])
    number: Count = Field(
        description="a request with a lower number than an accepted one is superseded"
    )


class User(Part):
    """A person's account."""

    name: UserName
    full_name: Phrase | None = Field(None, description="the name to show")
    given_name: Phrase | None = Field(None, description="first name")
    surname: Phrase | None = Field(None, description="last name")
    email: Mail | None = Field(None, description="mail address")
    uid: Id | None = Field(None, description="numeric user id, if the site assigns it")
    gid: Id | None = Field(None, description="numeric id of the primary group")
    shell: AbsolutePath | None = Field(None, description="login shell", examples=["/bin/bash"])
    home: AbsolutePath | None = Field(None, description="home directory, if not by template")
    groups: tuple[Code, ...] = Field((), description="groups to be a member of")
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class UserRef(Part):
    """A person, by name."""

    name: UserName


class ProjectRef(Part):
    """The project that an allocation belongs to."""

    code: Code
    title: Phrase | None = Field(None, description="what it is about")
    pi: UserName | None = Field(None, description="its leader")
    managers: tuple[UserName, ...] = Field(
        (),
        description="who looks after it beside the leader; they are warned of its quotas",
        examples=[["asmith"]],
        max_length=100,
    )
    gid: Id | None = Field(None, description="numeric id of the project's group")


class Project(ProjectRef):
    """A project and its people."""

    users: tuple[UserName, ...] = Field(
        (), description="all its members", examples=[["jdoe", "asmith"]], max_length=10_000
    )
    users_file: UsersInFile = Field(
        None, description="a companion file with them, in place of `users`"
    )
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class Quota(Part):
    """Limits of a fileset."""

    space: Size | None = Field(None, description="space", examples=["5TiB"])
    files: Count | None = Field(None, description="number of files")


class SlurmPart(Part):
    """What Slurm should know about an allocation, under the names of ColdFront's attributes."""

    account: Code | None = Field(None, description="account, if not the project's code")
    parent: Code | None = Field(None, description="parent account")
    description: Phrase | None = Field(None, description="the account's description")
    organization: Phrase | None = Field(None, description="the account's organization")
    qos: tuple[Code, ...] = Field((), description="QOS that may be used", max_length=200)
    fairshare: Count | None = Field(None, description="shares")
    specs: Specs | None = Field(
        None, description="specs of the account", examples=["GrpTRES=cpu=64"]
    )
    user_specs: Specs | None = Field(None, description="specs of each user's association")
    partitions: tuple[Code, ...] = Field(
        (),
        description="the only partitions that users get; empty: all",
        examples=[["gpu"]],
        max_length=200,
    )


class StoragePart(Part):
    """What a file system should know about an allocation."""

    fileset: Code | None = Field(None, description="fileset, if not the project's code")
    path: AbsolutePath | None = Field(
        None,
        description="path of its junction; only for root and writers with `paths` in their rule",
    )
    kind: Literal["independent", "dependent"] | None = Field(None, description="kind of fileset")
    leaves: Code | None = Field(
        None,
        description="its former fileset, if it should get another one and leave its data there",
    )


class AllocationRef(Part):
    """An allocation, with the keys that memberships and suspensions need."""

    id: Code = Field(description="the portal's number of the allocation", examples=["42"])
    resource: Code | None = Field(None, description="resource of the site's configuration")
    project: ProjectRef | None = Field(None, description="the project it belongs to")
    slurm: SlurmPart = Field(default_factory=SlurmPart)
    storage: StoragePart = Field(default_factory=StoragePart)
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class Allocation(AllocationRef):
    """An allocation: everything that it should be."""

    resource: Code = Field(
        description="resource of the site's configuration", examples=["cluster-a"]
    )
    project: ProjectRef = Field(description="the project it belongs to")
    users: tuple[UserName, ...] = Field(
        (), description="everybody entitled", examples=[["jdoe", "asmith"]], max_length=10_000
    )
    users_file: UsersInFile = Field(
        None, description="a companion file with them, in place of `users`"
    )
    quota: Quota = Field(default_factory=Quota)


class MembershipAllocation(AllocationRef):
    """The allocation that somebody joins."""

    resource: Code = Field(
        description="resource of the site's configuration", examples=["cluster-a"]
    )
    project: ProjectRef = Field(description="the project it belongs to")


class Membership(Part):
    """A user in an allocation."""

    allocation: MembershipAllocation
    user: UserName


class MembershipRef(Part):
    """A user who leaves an allocation."""

    allocation: AllocationRef
    user: UserName


class Manifest(Part):
    """A companion file (JSON Lines) with everything that should exist."""

    file: Code = Field(description="its name in staging")
    size: Count = Field(description="its bytes")
    sha256: str = Field(description="its SHA-256", pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a file names. users: all people in it; project: a project's code, or ''."""

    action: str = ""
    subject: str = ""
    users: frozenset[str] = frozenset()
    project: str = ""


def glimpse(body: bytes, listed: str | None = None) -> Glimpse:
    """Return what a file seems to be about, even if it is no valid request.

    listed: the users of its companion, a name a line.
    """
    more = frozenset((listed or "").split())
    try:
        value = parse(body).value
    except InvalidDocument as error:
        value = error.document.value if error.document is not None else {}
    if not isinstance(value, dict):
        return Glimpse(users=more)
    user, allocation, project = (_inner(value, key) for key in ("user", "allocation", "project"))
    membership = _inner(value, "membership")
    joined = _inner(membership, "allocation")
    subjects = (
        ("user", user.get("name")),
        ("allocation", allocation.get("id") or joined.get("id")),
        ("project", project.get("code")),
        ("request", value.get("request")),
        ("lane", value.get("lane")),
    )
    subject = next((f"{kind}:{name}" for kind, name in subjects if isinstance(name, str)), "")
    codes = (_inner(part, "project").get("code") for part in (allocation, joined))
    code = next((code for code in (project.get("code"), *codes) if isinstance(code, str)), "")
    users = {user.get("name"), membership.get("user"), *_listed(allocation), *_listed(project)}
    named = frozenset(name for name in users if isinstance(name, str))
    action = value.get("action")
    return Glimpse(action if isinstance(action, str) else "", subject, named | more, code)


def _inner(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _listed(value: dict[str, Any]) -> Iterator[str]:
    users = value.get("users")
    yield from (name for name in users if isinstance(name, str)) if isinstance(users, list) else ()
