"""Healing: slurmctld looks up again the users whom it could not look up, and they lose nothing.

Promises: nobody is deleted, so every association, limit and right stays, whatever fails meanwhile;
slurmctld is not asked to look up hundreds of others, too. Leaves out: which users to heal, and
default accounts that slurmctld lost (`plan`).

slurmctld looks a user up once, for the user's own record and for each association, and keeps a
failure: it then refuses jobs. `sacctmgr modify` does not fix it. `scontrol reconfigure`, which
reads everything again, does (22.05.8, 24.11.5, 26.05.5). Deleting and adding the user does, too,
but in between nothing but this process has their limits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from handlers.slurm.client import Tools
from handlers.slurm.slurmdbd import Slurmdbd, default_accounts
from provisioner.contract import NotReady, Transient

FEW = 20
"""Up to this many users, slurmctld is asked first how many others it could not look up."""

MOST_OTHERS = 500
"""With more users who resolve nowhere, slurmctld may not answer for minutes after `reconfigure`."""


def heal(tools: Tools, users: Collection[str]) -> None:
    """Make slurmctld look users up again. Raises NotReady if an admin has to do it."""
    if len(users) <= FEW:
        failed = tools.slurmctld.held().failed
        others = {user for account, user in failed if not account} - set(users)
        if len(others) >= MOST_OTHERS:
            raise _left(
                users,
                f"it holds one of {len(others)} others, too, and may not answer for minutes while "
                "it looks them all up",
                "run `scontrol reconfigure` when that does no harm, or first remove the users who "
                "do not resolve on slurmctld's host",
            )
    chosen = default_accounts(tools.slurmdbd, users)
    try:
        tools.slurmctld.reconfigure()
    except Transient as fault:
        raise _left(
            users,
            fault.message,
            "run `scontrol reconfigure` as root on slurmctld's host, or make the service's user an "
            "administrator of Slurm",
        ) from None
    # A user read again has no default account (`DefAccount=(null)`, 22.05.8), and sbatch without
    # -A is refused until it is set again.
    set_defaults(tools.slurmdbd, chosen)


def _left(users: Collection[str], why: str, advice: str) -> NotReady:
    some = ", ".join(sorted(users)[:3])
    return NotReady(f"slurmctld holds a failed uid lookup of {some}: {why}", advice=advice)


def set_defaults(slurmdbd: Slurmdbd, chosen: Mapping[str, str]) -> None:
    """Set users' default accounts, in one call for each account."""
    for account in sorted(set(chosen.values())):
        slurmdbd.set_default(account, [name for name, one in chosen.items() if one == account])
