"""People, and short policies."""

from __future__ import annotations

from typing import Any

from provisioner.config.policy import PolicyConfig
from provisioner.policy.policy import Policy
from provisioner.policy.rules import Target
from provisioner.system.ulid import RequestId
from provisioner.system.users import Submitter

ROOT = Submitter(0, "root")


SERVICE = Submitter(990, "provisioner")


PORTAL = Submitter(991, "coldfront", frozenset({"portals"}))


ANN = Submitter(2001, "ann", frozenset({"ann", "hpc-staff"}))


EVE = Submitter(2002, "eve", frozenset({"eve"}))


TIB = 2**40


def policy(group: str | None = None, **config: Any) -> Policy:
    return Policy(PolicyConfig.model_validate(config), group, SERVICE.uid)


def own(who: Submitter, held_by: str | None = None) -> Target:
    return Target(RequestId("01J"), who.uid, who.name, held_by)


def told(value: object) -> str:
    """Return a case's name: the same in every process, which a set's own text is not."""
    match value:
        case Submitter():
            return value.name
        case Target():
            return f"of {value.writer}, held by {value.held_by}"
        case frozenset():
            return "+".join(sorted(value))
        case dict():
            return ",".join(f"{key}={told(one)}" for key, one in value.items()) or "-"
        case _:
            return str(value)


SIZES = policy(
    rules=[
        {"who": ["coldfront"], "actions": ["allocation.*"], "space": "5TiB"},
        {"who": ["coldfront"], "actions": ["allocation.*"], "space": "50TiB", "review": "yes"},
        {"who": ["@hpc-staff"], "actions": ["*"], "others": "yes", "adopt": "yes"},
    ]
)
