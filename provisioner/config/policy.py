"""The configuration of policy: rules, portals, protected names, crowds, signatures.

Promises: a description of every option. Leaves out: what a rule decides (`policy.policy`).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from provisioner.config.part import Part
from provisioner.request.actions import ACTIONS
from provisioner.request.values import Count, Size


def _known_actions(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not any(fnmatchcase(action, pattern) for action in ACTIONS):
            raise ValueError(f"{pattern!r} is not an action, and matches none")
    return patterns


class RuleConfig(Part):
    """Who may ask for what. A rule fits a request if every line of it does."""

    who: tuple[str, ...] = Field(
        description="users, `@GROUP`, or `*` for everybody", examples=[["coldfront", "@hpc-staff"]]
    )
    actions: Annotated[tuple[str, ...], AfterValidator(_known_actions)] = Field(
        description="actions; `*` stands for any part of a name",
        examples=[["allocation.*", "membership.*"]],
    )
    resources: tuple[str, ...] = Field(
        (),
        description="the request may be about these only; empty: about any, or none",
        examples=[["hpc-storage"]],
    )
    projects: tuple[str, ...] = Field(
        (),
        description="the request may be about projects of these codes only, `*` for any part; "
        "a user's groups also count",
        examples=[["CF*"]],
    )
    accounts: tuple[str, ...] = Field(
        (),
        description="Slurm accounts and filesets that it may name besides those of `projects`",
        examples=[["guests-*"]],
    )
    users: tuple[str, ...] = Field(
        (),
        description="users that the request may name, `*` for any part; empty: any",
        examples=[["phys-*"]],
    )
    space: Size | None = Field(None, description="largest `quota.space`", examples=["50TiB"])
    files: Count | None = Field(None, description="largest `quota.files`", examples=[20000000])
    new_users: Count | None = Field(
        None, description="most new users in an hour, for one submitter", examples=[50]
    )
    hourly: Count | None = Field(
        None, description="most requests in an hour, for one submitter", examples=[5000]
    )
    adopt: bool = Field(False, description="may say `adopt: true`")
    paths: bool = Field(False, description="may set where storage is: `storage.path`")
    numbers: bool = Field(
        False, description="may set numbers: `user.uid`, `user.gid`, `project.gid`"
    )
    others: bool = Field(
        False,
        description="also other submitters' allocations and projects; for `request.*`, their "
        "requests; without it a submitter sees only their own",
    )
    review: bool = Field(False, description="held until an operator releases it")


class ProtectedConfig(Part):
    """Names that nobody may touch through requests, besides root and system names."""

    users: tuple[str, ...] = Field((), description="users; `*` stands for any part of a name")
    groups: tuple[str, ...] = Field((), description="groups, likewise")
    accounts: tuple[str, ...] = Field(
        (), description="the same for Slurm accounts, filesets and all other names"
    )


class MassConfig(Part):
    """How many people may lose something at once before a second person must look."""

    share: float = Field(20.0, ge=0, le=100, description="percent of the users who have anything")
    users: int = Field(10, ge=0, description="never held up to this many users")
    minutes: float = Field(
        10.0,
        ge=0,
        description="minutes in which requests of one submitter count together; not root's",
    )


class SignaturesConfig(Part):
    """Who signs requests, for staging where owners can be forged."""

    allowed_signers: Path = Field(
        description="file of users and their keys, as ssh-keygen(1) has it under ALLOWED SIGNERS",
        examples=["/etc/provisioner/allowed_signers"],
    )
    required: bool = Field(False, description="a request without a signature is refused")


class PolicyConfig(Part):
    """Who may ask for what, and what a second person must see first."""

    rules: tuple[RuleConfig, ...] | None = Field(
        None,
        description="the first rule that fits decides; if none fits, the request is refused. "
        "Without rules, members of `staging_group` may ask for everything except others' requests "
        "and lanes",
    )
    portals: tuple[str, ...] = Field(
        (),
        description="users, or `@GROUP`, whose programs write for people: the service trusts the "
        "`on_behalf_of` of their requests",
        examples=[["coldfront"]],
    )
    by_name: tuple[str, ...] = Field(
        (),
        description="accounts that stay the same writer if they are made again with another uid, "
        "`*` for any part; those named in `portals` do",
        examples=[["svc-*"]],
    )
    persons: dict[str, str] = Field(
        default_factory=dict,
        description="people with another name in a portal, or with several accounts: name -> "
        "their name on this host. The same person cannot release what they asked for",
        examples=[{"jane.doe": "jdoe", "adm-jdoe": "jdoe"}],
    )
    protected: ProtectedConfig = Field(
        default_factory=ProtectedConfig,
        description="names that nobody may touch, besides root and system names",
    )
    mass: MassConfig = Field(
        default_factory=MassConfig,
        description="a request that shuts out more users at once is held",
    )
    signatures: SignaturesConfig | None = Field(
        None, description="who signs requests; without it, `NAME.sig` beside a request is ignored"
    )

    def below(self, base: Path) -> Self:
        """Return the policy with relative paths resolved against a directory."""
        if self.signatures is None:
            return self
        signers = {"allowed_signers": base / self.signatures.allowed_signers}
        return self.model_copy(update={"signatures": self.signatures.model_copy(update=signers)})
