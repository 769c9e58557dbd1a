"""The actions: for each, what a request must and may say.

Promises: the one description of the format; the parser, the JSON Schema and the documentation are
made from it. Names are checked strictly here, before any backend sees them. Leaves out: reading
files (`request`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from provisioner.sizes import parse_size


def _matches(pattern: str, what: str) -> Any:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"not {what}")
        return value

    return AfterValidator(check)


def _one_line(value: str) -> str:
    if value.isprintable():
        return value
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("has a control character")
    return value


def _lines(value: str) -> str:
    _one_line(value.replace("\n", "").replace("\t", ""))
    return value


def _digits(value: object) -> object:
    """Refuse what Python takes for a number and people do not: `1_0`, `1.0`, ` 1`."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("not a whole number")
    return value


def _dated(value: object) -> object:
    """Refuse a bare number, which would be seconds since 1970."""
    if isinstance(value, str) and not re.match(r"[0-9]{4}-", value):
        raise ValueError("not a time")
    return value


_USER = r"[a-z_][a-z0-9_.-]{0,31}"
_CODE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_MAIL = r'[^@\s<>()\[\]\\,;:"]{1,64}@[A-Za-z0-9.-]{1,255}'
_PERSON = r"[A-Za-z0-9_.@+-]{1,150}"
_PATH = r"(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+"

UserName = Annotated[
    str,
    _matches(_USER, "a user name: a lower-case letter or _, then at most 31 of a-z 0-9 _ . -"),
    Field(
        description="a user's login name",
        examples=["jdoe"],
        json_schema_extra={"pattern": f"^{_USER}$"},
    ),
]
Code = Annotated[
    str,
    _matches(_CODE, "a code: letters, digits, _ . -, at most 64"),
    Field(
        description="a short name", examples=["CF0003"], json_schema_extra={"pattern": f"^{_CODE}$"}
    ),
]
Person = Annotated[
    str,
    _matches(_PERSON, "a person's name: at most 150 of A-Z a-z 0-9 _ . @ + -"),
    Field(
        description="a person, as the writer knows them",
        examples=["jdoe"],
        json_schema_extra={"pattern": f"^{_PERSON}$"},
    ),
]
Line = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_lines)]
Id = Annotated[int, Field(ge=1, le=4294967293), BeforeValidator(_digits)]
Count = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_digits)]
Moment = Annotated[AwareDatetime, BeforeValidator(_dated)]
Size = Annotated[
    int,
    BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value),
    Field(ge=0, lt=2**63),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["5TiB", "500 GB"]}),
]
Mail = Annotated[
    str,
    _matches(_MAIL, "a mail address"),
    Field(examples=["jdoe@example.org"], json_schema_extra={"pattern": f"^{_MAIL}$"}),
]
AbsolutePath = Annotated[
    str,
    _matches(_PATH, "an absolute path of plain names"),
    Field(
        max_length=1000,
        examples=["/gpfs/projects/cf0003"],
        json_schema_extra={"pattern": f"^{_PATH}$"},
    ),
]
Free = dict[
    Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Line | list[Line] | None
]


class Part(BaseModel):
    """A mapping of a request: only known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderPart(Part):
    """The writer's own order of its requests."""

    key: Line = Field(description="what is ordered", examples=["allocation-42"])
    number: Count = Field(description="a lower one than accepted is superseded")


class User(Part):
    """A person's account."""

    name: UserName
    full_name: Line | None = Field(None, description="the name to show")
    given_name: Line | None = Field(None, description="first name")
    surname: Line | None = Field(None, description="last name")
    email: Mail | None = Field(None, description="mail address")
    uid: Id | None = Field(None, description="numeric user id, where the site gives it")
    gid: Id | None = Field(None, description="numeric id of the primary group")
    shell: AbsolutePath | None = Field(None, description="login shell", examples=["/bin/bash"])
    home: AbsolutePath | None = Field(None, description="home directory, where not by template")
    groups: tuple[Code, ...] = Field((), description="groups to be a member of")
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class UserRef(Part):
    """A person, by name."""

    name: UserName


class ProjectRef(Part):
    """The project that an allocation belongs to."""

    code: Code
    title: Line | None = Field(None, description="what it is about")
    pi: UserName | None = Field(None, description="who leads it")
    gid: Id | None = Field(None, description="numeric id of the project's group")


class Project(ProjectRef):
    """A project and its people."""

    users: tuple[UserName, ...] = Field((), description="everybody in it", max_length=5000)
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class Quota(Part):
    """Limits of a fileset."""

    space: Size | None = Field(None, description="space", examples=["5TiB"])
    files: Count | None = Field(None, description="number of files")


class SlurmPart(Part):
    """What Slurm should know of an allocation, in the words of ColdFront's attributes."""

    account: Code | None = Field(None, description="account, where not the project's code")
    parent: Code | None = Field(None, description="parent account")
    description: Line | None = Field(None, description="the account's description")
    organization: Line | None = Field(None, description="the account's organization")
    qos: tuple[Code, ...] = Field((), description="QOS that may be used")
    fairshare: Count | None = Field(None, description="shares")
    specs: Line | None = Field(
        None, description="specs of the account", examples=["GrpTRES=cpu=64"]
    )
    user_specs: Line | None = Field(None, description="specs of each user's association")


class StoragePart(Part):
    """What a file system should know of an allocation."""

    fileset: Code | None = Field(None, description="fileset, where not the project's code")
    path: AbsolutePath | None = Field(None, description="where it is linked")
    kind: Literal["independent", "dependent"] | None = Field(None, description="kind of fileset")


class AllocationRef(Part):
    """An allocation, as far as memberships and suspensions need it."""

    id: Code = Field(description="the portal's number of the allocation", examples=["42"])
    resource: Code | None = Field(None, description="resource of the site's configuration")
    project: ProjectRef | None = Field(None, description="the project it belongs to")
    slurm: SlurmPart = Field(default_factory=SlurmPart)
    storage: StoragePart = Field(default_factory=StoragePart)
    attributes: Free = Field(default_factory=dict, description="free values for the site's routes")


class Allocation(AllocationRef):
    """An allocation: the whole of what should be."""

    resource: Code = Field(
        description="resource of the site's configuration", examples=["cluster-a"]
    )
    project: ProjectRef = Field(description="the project it belongs to")
    users: tuple[UserName, ...] = Field((), description="everybody entitled", max_length=5000)
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
    """A companion file (JSON Lines) with all that should be."""

    file: Code = Field(description="its name in staging")
    size: Count = Field(description="its bytes")
    sha256: str = Field(description="its SHA-256", pattern=r"^[0-9a-f]{64}$")


class Envelope(Part):
    """What every request may say."""

    provisioner: Annotated[Literal["1"], WithJsonSchema({"enum": [1, "1"]})] = Field(
        description="the format's version"
    )
    action: str
    id: Annotated[Line, Field(min_length=1, max_length=128)] | None = Field(
        None, description="the writer's own number for this request", examples=["coldfront-1-8231"]
    )
    order: OrderPart | None = Field(None, description="the writer's own order")
    on_behalf_of: Person | None = Field(
        None, description="the person who asks; counts where policy trusts the writer with it"
    )
    reason: Text | None = Field(None, description="free text")
    expires: Moment | None = Field(
        None,
        description="refused after this time, with its zone",
        examples=["2026-12-24T00:00:00Z"],
    )
    not_before: Moment | None = Field(
        None, description="waits until this time, with its zone", examples=["2026-12-24T00:00:00Z"]
    )
    adopt: bool = Field(False, description="take over what is there and differs")

    def subject(self) -> str:
        """Name what the request is about."""
        raise NotImplementedError

    def resource_name(self) -> str | None:
        """Name the resource, where the request speaks of one."""
        return None

    def resource_key(self) -> str:
        """Name the key that says so."""
        return ""

    def user_names(self) -> tuple[str, ...]:
        """List the users that `each: user` goes through."""
        return ()

    def expressions(self) -> Mapping[str, Any]:
        """Make what expressions in routes may use."""
        return {}

    def places(self) -> Mapping[str, tuple[str, ...]]:
        """Say which key of the file each name of an expression is; `users`: who is gone through."""
        return {name: (name,) for name in type(self).model_fields}


class _OfUser(Envelope):
    user: UserRef | User

    def subject(self) -> str:
        return f"user:{self.user.name}"

    def user_names(self) -> tuple[str, ...]:
        return (self.user.name,)

    def expressions(self) -> Mapping[str, Any]:
        return {"user": self.user.model_dump(), "cause": getattr(self, "cause", None)}


class UserProvision(_OfUser):
    """Make a person's account, and keep it as said here."""

    action: Literal["user.provision"]
    user: User


class _Suspension(Envelope):
    cause: Line | None = Field(None, description="why; each cause has to be lifted by itself")


class UserSuspension(_Suspension, _OfUser):
    """Take a person's access away, or give it back."""

    action: Literal["user.suspend", "user.resume"]
    user: UserRef


class _OfProject(Envelope):
    project: ProjectRef

    def subject(self) -> str:
        return f"project:{self.project.code}"

    def places(self) -> Mapping[str, tuple[str, ...]]:
        return {"users": ("project", "users"), **super().places()}

    def expressions(self) -> Mapping[str, Any]:
        return {"project": self.project.model_dump()}


class ProjectProvision(_OfProject):
    """Make a project's group, and keep its members as said here."""

    action: Literal["project.provision"]
    project: Project

    def user_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.project.users))


class ProjectArchive(_OfProject):
    """Close what the project itself claimed; nothing is deleted."""

    action: Literal["project.archive"]


class _OfAllocation(Envelope):
    allocation: AllocationRef

    def subject(self) -> str:
        return f"allocation:{self.allocation.id}"

    def resource_name(self) -> str | None:
        return self.allocation.resource

    def resource_key(self) -> str:
        return "allocation.resource"

    def places(self) -> Mapping[str, tuple[str, ...]]:
        whole = ("allocation",)
        return {"project": (*whole, "project"), "users": (*whole, "users"), **super().places()}

    def expressions(self) -> Mapping[str, Any]:
        allocation = self.allocation.model_dump()
        cause = getattr(self, "cause", None)
        return {"allocation": allocation, "project": allocation["project"], "cause": cause}


class AllocationProvision(_OfAllocation):
    """Make an allocation's storage or accounts, and keep them as said here."""

    action: Literal["allocation.provision"]
    allocation: Allocation

    def user_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.allocation.users))


class AllocationSuspension(_Suspension, _OfAllocation):
    """Take the access of an allocation's users away, or give it back."""

    action: Literal["allocation.suspend", "allocation.resume"]


class _OfMembership(Envelope):
    membership: MembershipRef | Membership

    def subject(self) -> str:
        return f"allocation:{self.membership.allocation.id}/user:{self.membership.user}"

    def resource_name(self) -> str | None:
        return self.membership.allocation.resource

    def resource_key(self) -> str:
        return "membership.allocation.resource"

    def user_names(self) -> tuple[str, ...]:
        return (self.membership.user,)

    def places(self) -> Mapping[str, tuple[str, ...]]:
        whole = ("membership", "allocation")
        return {
            "allocation": whole,
            "project": (*whole, "project"),
            **super().places(),
            "user": ("membership", "user"),
        }

    def expressions(self) -> Mapping[str, Any]:
        membership = self.membership.model_dump()
        allocation = {"users": (self.membership.user,), "quota": {}, **membership["allocation"]}
        return {
            "membership": membership,
            "allocation": allocation,
            "project": allocation["project"],
        }


class MembershipAdd(_OfMembership):
    """Let a user into an allocation."""

    action: Literal["membership.add"]
    membership: Membership


class MembershipRemove(_OfMembership):
    """Take a user out of an allocation; what other allocations entitle stays."""

    action: Literal["membership.remove"]
    membership: MembershipRef


class Reconcile(Envelope):
    """Compare everything with every backend, and mend what differs."""

    action: Literal["reconcile"]
    as_of: Moment | None = Field(None, description="objects claimed later are left alone")
    manifest: Manifest | None = Field(None, description="all that should be, in a companion file")

    def subject(self) -> str:
        return "site:"

    def expressions(self) -> Mapping[str, Any]:
        return {"manifest": self.manifest, "as_of": self.as_of}


class Adopt(Envelope):
    """Take over what is in the backends as it is, while the service only observes."""

    action: Literal["adopt"]
    manifest: Manifest = Field(description="what is taken over, in a companion file")
    as_of: Moment | None = Field(None, description="subjects claimed later are left alone")
    writer: Annotated[Line, Field(min_length=1)] | None = Field(
        None,
        description="whose the claims become, where not the sender's; root and the service may say",
        examples=["coldfront"],
    )
    differing: bool = Field(False, description="what differs is changed to what is listed")

    def subject(self) -> str:
        return "site:"

    def expressions(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in ("manifest", "as_of", "writer", "differing")}


class OfRequest(Envelope):
    """Steer another request."""

    action: Literal["request.retry", "request.hold", "request.release", "request.cancel"]
    request: Annotated[Line, Field(min_length=1)] = Field(
        description="the other request's id, as `provisioner queue` prints it"
    )

    def subject(self) -> str:
        return f"request:{self.request}"


class OfLane(Envelope):
    """Stop a lane, or let it go on."""

    action: Literal["lane.pause", "lane.unpause"]
    lane: Annotated[Line, Field(min_length=1)] = Field(
        description="a lane, as `provisioner queue` prints it"
    )

    def subject(self) -> str:
        return f"lane:{self.lane}"


class OfJournal(Envelope):
    """Let a rebuilt journal, whose drift was seen, be written to the backends again."""

    action: Literal["journal.release"]

    def subject(self) -> str:
        return "site:"


_MODELS: tuple[type[Envelope], ...] = (
    UserProvision,
    UserSuspension,
    ProjectProvision,
    ProjectArchive,
    AllocationProvision,
    AllocationSuspension,
    MembershipAdd,
    MembershipRemove,
    Reconcile,
    Adopt,
    OfRequest,
    OfLane,
    OfJournal,
)

ACTIONS: Mapping[str, type[Envelope]] = {
    action: model
    for model in _MODELS
    for action in model.model_fields["action"].annotation.__args__  # type: ignore[union-attr]
}
"""The model of each action."""
