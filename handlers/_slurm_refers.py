"""What changes for Slurm refer to beside their own object: QOS, and the account above.

Promises: pure; a name that is not there is told with the nearest that is. Leaves out: asking for
them (`slurm`), and limits (`_slurm_specs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from provisioner.contract import Change, Fault, Key, Permanent, Transient

_QOS = ("qos", "defaultqos")


@dataclass(frozen=True, slots=True)
class Named:
    """The names that one change refers to. parent: '' where it names none."""

    qos: tuple[str, ...] = ()
    parent: str = ""


def named(change: Change) -> Named:
    """Read the names out of a change's `KEY=VALUE` words."""
    qos: list[str] = []
    parent = ""
    for word in cast(Sequence[str], change.data.get("attributes") or ()):
        name, _, value = word.partition("=")
        if name.rstrip("+").lower() in _QOS:
            qos += [one for one in value.lower().split(",") if one and not one.startswith("-")]
        elif name == "parent":
            parent = value.lower()
    return Named(tuple(qos), parent)


def refused(
    asked: Mapping[Key, Named],
    qos: Collection[str],
    missing: Collection[str],
    accounts: Collection[str],
    cluster: str,
) -> dict[Key, Fault]:
    """Say which changes slurmdbd will not take.

    qos: those that it knows; missing: parents that the cluster does not have; accounts: those that
    it has.
    """
    known = {one.lower() for one in qos}
    found: dict[Key, Fault] = {}
    for key, one in asked.items():
        unknown = [name for name in one.qos if name not in known]
        if unknown:
            found[key] = Permanent(
                f"{key}: there is no QOS {_listed(unknown, known)}",
                advice=f"write one of {', '.join(sorted(known))}; or `sacctmgr add qos "
                f"{unknown[0]}`, then try again",
            )
        elif one.parent in missing:
            found[key] = Transient(
                f"{key}: cluster {cluster} has no account {_listed([one.parent], accounts)} "
                "to be the parent",
                advice="name another parent, or have that account made first",
            )
    return found


def _listed(names: Sequence[str], known: Collection[str]) -> str:
    told = []
    for name in names:
        near = get_close_matches(name, sorted(known), 1)
        told.append(repr(name) + (f" (did you mean {near[0]!r}?)" if near else ""))
    return ", ".join(told)
