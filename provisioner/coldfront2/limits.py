"""Limits of Slurm in ColdFront 2, as the words that `sacctmgr` takes: pure functions.

Promises: each limit stands where ColdFront 2's own dump puts it: a user's limits on the user's
association, an account's on the account. A wall time has its unit; ColdFront 2's dump writes
seconds, which Slurm reads as minutes. Leaves out: what Slurm accepts; the service checks that.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_/.:-]*")
_AMOUNT = re.compile(r"-1|[0-9]+(\.[0-9]+)?[KMGTPkmgtp]?")
"""A resource and an amount of it, without a character that begins another limit."""


@dataclass(frozen=True, slots=True)
class Association:
    """A SlurmAssociation with its account.

    account_fairshare: None if users have shares of their own; offered: the QOS of its cluster, or
    those that its partition allows; added, removed: the association's; account_added,
    account_removed: its account's.
    """

    account: str = ""
    parent: str = ""
    account_fairshare: int | None = None
    account_added: tuple[str, ...] = ()
    account_removed: tuple[str, ...] = ()
    default_qos: str = ""
    fairshare: int = 1
    max_jobs: int | None = None
    max_submit_jobs: int | None = None
    max_tres_per_job: Mapping[str, Any] | None = None
    max_tres_mins_per_job: Mapping[str, Any] | None = None
    max_wall: datetime.timedelta | None = None
    offered: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def of_account(association: Association) -> str:
    """Return the limits of the account itself."""
    return _joined(_qos(association.account_added, association.account_removed))


def of_users(association: Association) -> tuple[str, tuple[str, ...]]:
    """Return the limits of each user's association, and what somebody has to correct."""
    wrong: list[str] = []
    words = [
        *_fairshare(association),
        *_given("DefaultQOS", association.default_qos or None),
        *_qos((*association.offered, *association.added), association.removed),
        *_given("MaxJobs", association.max_jobs),
        *_given("MaxSubmitJobs", association.max_submit_jobs),
        *_tres("MaxTRES", "max TRES per job", association.max_tres_per_job, wrong),
        *_tres("MaxTRESMins", "max TRES minutes per job", association.max_tres_mins_per_job, wrong),
        *_given("MaxWall", wall(association.max_wall) if association.max_wall else None),
    ]
    return _joined(words), tuple(wrong)


def wall(time: datetime.timedelta) -> str:
    """Return a wall time as HH:MM:SS."""
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"


def _fairshare(association: Association) -> list[str]:
    """Return the user's shares; none where they are Slurm's own 1."""
    if association.account_fairshare is not None:
        return ["Fairshare=parent"]
    return [] if association.fairshare == 1 else [f"Fairshare={association.fairshare}"]


def _qos(added: Iterable[str], removed: Iterable[str]) -> list[str]:
    """Return additions to the inherited QOS, and removals; what is removed is not added."""
    less = dict.fromkeys(removed)
    more = dict.fromkeys(name for name in added if name not in less)
    words = [f"QOS+={','.join(more)}"] if more else []
    return [*words, f"QOS-={','.join(less)}"] if less else words


def _tres(key: str, label: str, amounts: object, wrong: list[str]) -> list[str]:
    """Return amounts of resources, by the resource's name; note what is none in `wrong`."""
    if amounts in (None, "", {}):
        return []
    pairs = amounts.items() if isinstance(amounts, Mapping) else ()
    texts = [(str(name), str(amount)) for name, amount in pairs]
    good = [_RESOURCE.fullmatch(name) and _AMOUNT.fullmatch(amount) for name, amount in texts]
    if not texts or not all(good):
        wrong.append(
            f"correct the {label} of the Slurm association: {amounts!r} is not a list of resources"
            ' and their amounts, such as {"cpu": 64, "gres/gpu": 2}'
        )
        return []
    return [f"{key}={','.join(f'{name}={amount}' for name, amount in sorted(texts))}"]


def _given(key: str, value: object) -> list[str]:
    return [] if value is None else [f"{key}={value}"]


def _joined(words: Iterable[str]) -> str:
    return ":".join(words)
