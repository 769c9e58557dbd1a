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
            raise ValueError(f"{pattern!r} is no action, and no pattern of any")
    return patterns


class RuleConfig(Part):
    """Who may ask for what. A rule fits a request when every line of it does."""

    who: tuple[str, ...] = Field(
        description="users, `@GROUP`, or `*` for everybody", examples=[["coldfront", "@hpc-staff"]]
    )
    actions: Annotated[tuple[str, ...], AfterValidator(_known_actions)] = Field(
        description="actions; `*` stands for any part of a name",
        examples=[["allocation.*", "membership.*"]],
    )
    resources: tuple[str, ...] = Field(
        (),
        description="the request has to be about these alone; empty: about any, or none",
        examples=[["hpc-storage"]],
    )
    projects: tuple[str, ...] = Field(
        (),
        description="the request has to be about projects of these codes alone, `*` for any part; "
        "a user's groups count as well",
        examples=[["CF*"]],
    )
    accounts: tuple[str, ...] = Field(
        (),
        description="Slurm accounts and filesets that it may name beside those of `projects`",
        examples=[["guests-*"]],
    )
    space: Size | None = Field(None, description="largest `quota.space`", examples=["50TiB"])
    files: Count | None = Field(None, description="largest `quota.files`", examples=[20000000])
    new_users: Count | None = Field(
        None, description="most users an hour that were not known, by one submitter", examples=[50]
    )
    adopt: bool = Field(False, description="may say `adopt: true`")
    paths: bool = Field(False, description="may say where storage lies: `storage.path`")
    numbers: bool = Field(
        False, description="may give numbers: `user.uid`, `user.gid`, `project.gid`"
    )
    others: bool = Field(
        False,
        description="other submitters' allocations and projects, too; for `request.*` their "
        "requests: who may not, learns of their own only",
    )
    review: bool = Field(False, description="held until an operator releases it")


class ProtectedConfig(Part):
    """What nobody may touch through requests, beside root and system names."""

    users: tuple[str, ...] = Field((), description="users; `*` stands for any part of a name")
    groups: tuple[str, ...] = Field((), description="groups, likewise")
    accounts: tuple[str, ...] = Field(
        (), description="Slurm accounts, filesets and all else that has a name, likewise"
    )


class MassConfig(Part):
    """How many people may lose something at once before a second person has to look."""

    share: float = Field(20.0, ge=0, le=100, description="percent of the users who have anything")
    users: int = Field(10, ge=0, description="never held up to this many users")
    minutes: float = Field(
        10.0, ge=0, description="requests of one submitter count together for so long; not root's"
    )


class SignaturesConfig(Part):
    """Who signs requests, for staging where owners can be forged."""

    allowed_signers: Path = Field(
        description="file of users and their keys, as ssh-keygen(1) has it under ALLOWED SIGNERS",
        examples=["/etc/provisioner/allowed_signers"],
    )
    required: bool = Field(False, description="a request without a signature is refused")


class PolicyConfig(Part):
    """Who may ask for what, and what a second person has to see first."""

    rules: tuple[RuleConfig, ...] | None = Field(
        None,
        description="the first that fits decides; none: refused. Without any, members of "
        "`staging_group` may ask for everything but others' requests and lanes",
    )
    portals: tuple[str, ...] = Field(
        (),
        description="users, or `@GROUP`, whose programs write for people: whom their requests name "
        "in `on_behalf_of` is believed to ask",
        examples=[["coldfront"]],
    )
    persons: dict[str, str] = Field(
        default_factory=dict,
        description="whose name a portal has otherwise, or who has several accounts: name -> their "
        "name on this host. Who is the same person, does not release what they asked for",
        examples=[{"jane.doe": "jdoe", "adm-jdoe": "jdoe"}],
    )
    protected: ProtectedConfig = Field(
        default_factory=ProtectedConfig,
        description="names that nobody may touch, beside root and system names",
    )
    mass: MassConfig = Field(
        default_factory=MassConfig,
        description="a request that shuts out more users at once is held",
    )
    signatures: SignaturesConfig | None = Field(
        None, description="who signs requests; none: `NAME.sig` beside a request is not looked at"
    )

    def below(self, base: Path) -> Self:
        """Return it with paths that begin at a directory."""
        if self.signatures is None:
            return self
        signers = {"allowed_signers": base / self.signatures.allowed_signers}
        return self.model_copy(update={"signatures": self.signatures.model_copy(update=signers)})
