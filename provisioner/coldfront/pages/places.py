"""Where an allocation is: its directory, its quota with use, and the account to compute with.

Promises: a place is what the service answered about the last request that was done, so nobody is
sent to something that is only wanted. Leaves out: who may see it (`sections`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.models import Request
from provisioner.contract.texts import parse_size

_PREFIXES = "KMGTPE"


@dataclass(frozen=True, slots=True)
class Place:
    """What people need to know to use an allocation; each '' if it has no such thing.

    where: the resource's name; used, used_files: of the quota; share: of the space, in percent;
    read: when the use was read; both None if not known.
    """

    allocation: int
    where: str
    path: str = ""
    quota: str = ""
    files: str = ""
    used: str = ""
    used_files: str = ""
    share: int | None = None
    read: datetime | None = None
    account: str = ""


def read(allocations: Collection[int], names: Mapping[int, str]) -> dict[int, Place]:
    """Return the place of each allocation that was ever done, by allocation. names: resources'."""
    keys = {mapping.key_of("allocation", pk): pk for pk in allocations}
    done = earlier.last_done(keys, "allocation.provision")
    places = {keys[key]: _place(row, names.get(keys[key], "")) for key, row in done.items()}
    return {pk: place for pk, place in sorted(places.items()) if _says_anything(place)}


def _says_anything(place: Place) -> bool:
    return bool(place.path or place.account or place.quota)


def _place(row: Request, where: str) -> Place:
    asked: Mapping[str, Any] = json.loads(row.body)["allocation"]
    quota = asked.get("quota") or {}
    made, use = answers.outputs(row.answer), answers.use(row.answer)
    space = str(quota.get("space") or "")
    return Place(
        allocation=row.allocation or 0,
        where=where,
        path=made.get("path", ""),
        quota=space,
        files=str(quota.get("files") or ""),
        used=size(use.space, space) if use.space is not None else "",
        used_files=str(use.files) if use.files is not None else "",
        share=_share(use.space, space),
        read=use.at,
        # A receipt of a service before outputs has no account; the request has it.
        account=made.get("account") or str((asked.get("slurm") or {}).get("account") or ""),
    )


def size(count: int, like: str = "") -> str:
    """Return bytes with at most three digits before the dot, in units of 1000 or 1024 as `like`."""
    base = 1000 if like.endswith("B") and not like.endswith("iB") else 1024
    amount, power = float(count), 0
    while amount >= 1000 and power < len(_PREFIXES):
        amount, power = amount / base, power + 1
    if not power:
        return f"{count} B"
    unit = f"{_PREFIXES[power - 1]}{'B' if base == 1000 else 'iB'}"
    return f"{amount:.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"


def _share(used: int | None, quota: str) -> int | None:
    try:
        whole = parse_size(quota)
    except ValueError:
        return None
    return None if used is None or not whole else round(100 * used / whole)
