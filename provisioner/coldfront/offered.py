"""Whether the service knows ColdFront's resources by the names that requests would use.

Leaves out: reading ColdFront (`Portal.resources`) and the service's offer (`offer`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from provisioner.coldfront.asking.portal import OfResource
from provisioner.contract.texts import phrase

KNOWN, UNKNOWN, OUT = "known", "unknown", "not provisioned"


@dataclass(frozen=True, slots=True)
class Checked:
    """One resource. name: in requests, or ''; state: KNOWN, UNKNOWN or OUT; remark: what to do."""

    resource: str
    name: str
    state: str
    remark: str = ""


def check(resources: Iterable[OfResource], offered: Collection[str], where: str) -> list[Checked]:
    """Return each resource as the service would see it, those that it does not know first.

    where: where somebody corrects its name in requests.
    """
    checked = [_check(resource, offered, where) for resource in resources]
    order = (UNKNOWN, KNOWN, OUT)
    return sorted(checked, key=lambda one: (order.index(one.state), one.resource))


def _check(resource: OfResource, offered: Collection[str], where: str) -> Checked:
    name, shown = resource.ours, phrase(resource.name)
    if name is None:
        return Checked(shown, "", OUT)
    if name in offered:
        return Checked(shown, phrase(name), KNOWN)
    near = difflib.get_close_matches(name, sorted(offered), 1)
    there = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(offered)) or 'none'}"
    return Checked(shown, phrase(name), UNKNOWN, f"{there} {where}")
