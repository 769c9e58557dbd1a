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
        wrong, advice = [], []
        if unknown:
            wrong.append(f"there is no QOS {_listed(unknown, known)}")
            advice.append(
                f"write one of {', '.join(sorted(known))}; or `sacctmgr add qos {unknown[0]}`, "
                "then try again"
            )
        if one.parent in missing:
            near = _listed([one.parent], accounts)
            wrong.append(f"cluster {cluster} has no account {near} to be the parent")
            advice.append("name another parent, or have that account made first")
        if wrong:
            kind = Permanent if unknown else Transient
            found[key] = kind(f"{key}: {'; '.join(wrong)}", advice="; ".join(advice))
    return found


def _listed(names: Sequence[str], known: Collection[str]) -> str:
    told = []
    for name in names:
        near = get_close_matches(name, sorted(known), 1)
        told.append(repr(name) + (f" (did you mean {near[0]!r}?)" if near else ""))
    return ", ".join(told)
