"""The actions: for each, what a request must and may contain.

Promises: this is the one description of the format; the parser, the JSON Schema and the
documentation are made from it. Leaves out: reading files (`request`), and the keys of a person, a
project or an allocation (`subjects`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from provisioner.request.subjects import (
    Allocation,
    AllocationRef,
    Manifest,
    Membership,
    MembershipRef,
    OrderPart,
    Part,
    Project,
    ProjectRef,
    User,
    UserRef,
    UsersFile,
)
from provisioner.request.values import Line, Moment, Person, Text

MOST_OBJECTS = 500
"""The most objects that a reconcile names: more would not fit into the size of a request."""


class Envelope(Part):
    """Keys that every request may have."""

    provisioner: Annotated[Literal["1"], WithJsonSchema({"enum": [1, "1"]})] = Field(
        description="the format's version"
    )
    action: str
    id: Annotated[Line, Field(min_length=1, max_length=128)] | None = Field(
        None, description="the writer's own number for this request", examples=["coldfront-1-8231"]
    )
    order: OrderPart | None = Field(None, description="the writer's own order")
    on_behalf_of: Person | None = Field(
        None, description="the person who asks; counts if policy trusts the writer with it"
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
    adopt: bool = Field(False, description="take over existing objects that differ")
    replaces: Annotated[Line, Field(min_length=1)] | None = Field(
        None,
        description="the failed or refused request that this one puts right when it is done",
        examples=["01JGT0V9Q3M4R5S6T7V8W9X0Y1"],
    )

    def subject(self) -> str:
        """Return the subject of the request."""
        raise NotImplementedError

    def resource_name(self) -> str | None:
        """Return the resource, if the request names one."""
        return None

    def resource_key(self) -> str:
        """Return the key that names the resource."""
        return ""

    def user_names(self) -> tuple[str, ...]:
        """Return the users for whom `each: user` runs."""
        return ()

    def users_in(self) -> UsersFile | None:
        """Return the companion file that lists the users, if there is one."""
        return None

    def expressions(self) -> Mapping[str, Any]:
        """Return the values that expressions in routes may use."""
        return {}

    def places(self) -> Mapping[str, tuple[str, ...]]:
        """Return the key of the file for each name of an expression; `users`: the key of the
        users."""
        return _at_top(type(self))


@cache
def _at_top(model: type[Envelope]) -> Mapping[str, tuple[str, ...]]:
    return {name: (name,) for name in model.model_fields}


class _OfUser(Envelope):
    user: UserRef | User

    def subject(self) -> str:
        return f"user:{self.user.name}"

    def user_names(self) -> tuple[str, ...]:
        return (self.user.name,)

    def expressions(self) -> Mapping[str, Any]:
        return {"user": self.user.model_dump(), "cause": vars(self).get("cause")}


class _Ending(Envelope):
    ends: Moment | None = Field(
        None,
        description="access ends at this time, with its zone; a newer request moves or removes it",
        examples=["2027-01-31T00:00:00Z"],
    )


class UserProvision(_Ending, _OfUser):
    """Make a person's account, and keep it as stated here."""

    action: Literal["user.provision"]
    user: User


class _Suspension(Envelope):
    cause: Line | None = Field(None, description="why; each cause must be lifted separately")


class _Resume(_Suspension):
    writer: Annotated[Line, Field(min_length=1)] | None = Field(
        None, description="who suspended, if not the sender; only root and the service may set it"
    )

    def expressions(self) -> Mapping[str, Any]:
        return {**super().expressions(), "writer": self.writer}


class UserSuspension(_Suspension, _OfUser):
    """Suspend a person's access."""

    action: Literal["user.suspend"]
    user: UserRef


class UserResume(_Resume, _OfUser):
    """Restore a person's access."""

    action: Literal["user.resume"]
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
    """Make a project's group, and keep its members as stated here."""

    action: Literal["project.provision"]
    project: Project

    def user_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.project.users))

    def users_in(self) -> UsersFile | None:
        return self.project.users_file


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
        cause = vars(self).get("cause")
        return {"allocation": allocation, "project": allocation["project"], "cause": cause}


class AllocationProvision(_Ending, _OfAllocation):
    """Make an allocation's storage or accounts, and keep them as stated here."""

    action: Literal["allocation.provision"]
    allocation: Allocation

    def user_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.allocation.users))

    def users_in(self) -> UsersFile | None:
        return self.allocation.users_file


class AllocationSuspension(_Suspension, _OfAllocation):
    """Suspend the access of an allocation's users."""

    action: Literal["allocation.suspend"]


class AllocationResume(_Resume, _OfAllocation):
    """Restore the access of an allocation's users."""

    action: Literal["allocation.resume"]


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


class MembershipAdd(_Ending, _OfMembership):
    """Add a user to an allocation."""

    action: Literal["membership.add"]
    membership: Membership


class MembershipRemove(_OfMembership):
    """Remove a user from an allocation; what other allocations give the user stays."""

    action: Literal["membership.remove"]
    membership: MembershipRef


class Reconcile(Envelope):
    """Compare everything, or some objects, with every backend, and fix differences."""

    action: Literal["reconcile"]
    as_of: Moment | None = Field(None, description="objects claimed later are left alone")
    since: int | None = Field(
        None, ge=0, description="the writer's requests with a higher `order.number` count as later"
    )
    manifest: Manifest | None = Field(None, description="what should exist, in a companion file")
    kinds: tuple[Literal["user", "project", "allocation"], ...] = Field(
        (), description="kinds that the manifest lists completely, even if it lists none of them"
    )
    objects: Annotated[
        tuple[Annotated[Line, Field(min_length=1)], ...], Field(max_length=MOST_OBJECTS)
    ] = Field(
        (),
        description="only these, as `provisioner drift` lists them; who loses something counts",
        examples=[["slurm-a/assoc/cf0003/jdoe"]],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.objects and self.manifest is not None:
            raise ValueError("has both a manifest and `objects`: send two requests")
        return self

    def subject(self) -> str:
        return "site:"

    def expressions(self) -> Mapping[str, Any]:
        names = ("manifest", "as_of", "since", "kinds", "objects")
        return {name: getattr(self, name) for name in names}


class Adopt(Envelope):
    """Take over objects of the backends unchanged, while the service only observes."""

    action: Literal["adopt"]
    manifest: Manifest = Field(description="what to take over, in a companion file")
    as_of: Moment | None = Field(None, description="subjects claimed later are left alone")
    writer: Annotated[Line, Field(min_length=1)] | None = Field(
        None,
        description="owner of the claims, if not the sender; only root and the service may set it",
        examples=["coldfront"],
    )
    differing: bool = Field(False, description="change objects that differ to what is listed")

    def subject(self) -> str:
        return "site:"

    def expressions(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in ("manifest", "as_of", "writer", "differing")}


class _OfRequest(Envelope):
    request: Annotated[Line, Field(min_length=1)] = Field(
        description="the other request's id, as `provisioner queue` prints it"
    )

    def subject(self) -> str:
        return f"request:{self.request}"


class OfRequest(_OfRequest):
    """Control another request."""

    action: Literal["request.retry", "request.hold", "request.cancel", "request.dismiss"]


class Release(_OfRequest):
    """Release a held request."""

    action: Literal["request.release"]
    digest: str | None = Field(
        None,
        description="the SHA-256 of the request that you looked at, as `provisioner show` prints "
        "it; required to release a request that policy holds",
        pattern=r"^[0-9a-f]{64}$",
    )

    def expressions(self) -> Mapping[str, Any]:
        return {"digest": self.digest}


class OfLane(Envelope):
    """Stop a lane, or continue it."""

    action: Literal["lane.pause", "lane.unpause"]
    lane: Annotated[Line, Field(min_length=1)] = Field(
        description="a lane, as `provisioner queue` prints it"
    )

    def subject(self) -> str:
        return f"lane:{self.lane}"


class OfJournal(Envelope):
    """Let the service write to the backends again from a rebuilt journal whose drift a person has
    seen."""

    action: Literal["journal.release"]

    def subject(self) -> str:
        return "site:"


_MODELS: tuple[type[Envelope], ...] = (
    UserProvision, UserSuspension, UserResume, ProjectProvision, ProjectArchive,
    AllocationProvision, AllocationSuspension, AllocationResume, MembershipAdd, MembershipRemove,
    Reconcile, Adopt, OfRequest, Release, OfLane, OfJournal,
)  # fmt: skip

ACTIONS: Mapping[str, type[Envelope]] = {
    action: model
    for model in _MODELS
    for action in model.model_fields["action"].annotation.__args__  # type: ignore[union-attr]
}
"""The model of each action."""
