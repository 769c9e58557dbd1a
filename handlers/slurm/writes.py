"""Writes to Slurm: each change of a plan as a call of the slurmdbd.

Promises: changes of one group are list calls, short enough for one argument. Leaves out: which
changes (`plan`), and their results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from handlers.slurm.client import Tools
from handlers.slurm.healing import heal
from handlers.slurm.limits.limits import Limits
from handlers.slurm.removal import remove, remove_unrecorded
from handlers.slurm.slurmctld import Slurmctld
from provisioner.contract import Change, Permanent

CHUNK = 1000
"""Names in one list call: at 33 bytes each, far below the kernel's 128 KiB for an argument."""

ADDED = 2000
"""Names in a call that adds: what each call costs beside them grows with who is there already."""


def write(tools: Tools, changes: Sequence[Change]) -> None:
    """Write changes of one group. Raises the faults of `Slurmdbd`, and NotReady for users with
    jobs."""
    most = ADDED if changes[0].verb == "add-user" else CHUNK
    for start in range(0, len(changes), most):
        _write(tools, changes[start : start + most])


def _write(tools: Tools, changes: Sequence[Change]) -> None:
    verb, first = changes[0].verb, changes[0].data
    names = [str(change.data["name"]) for change in changes]
    account = str(first.get("account", ""))
    attributes = [str(one) for one in cast(Sequence[str], first.get("attributes", ()))]
    selection = [str(first["where"])] if first.get("where") else []
    if verb == "add-account":
        tools.slurmdbd.add_accounts(names, attributes)
    elif verb == "modify-account":
        tools.slurmdbd.modify_accounts(names, attributes)
    elif verb == "add-user":
        tools.slurmdbd.add_users(account, names, attributes)
    elif verb == "modify-user":
        tools.slurmdbd.modify_users(account, names, selection, attributes)
    elif verb == "default":
        tools.slurmdbd.set_default(account, names)
    elif verb == "remove-user":
        some = ((change.data["name"], change.data.get("asked")) for change in changes)
        asked = {str(name): cast(Limits, limits) for name, limits in some if limits is not None}
        remove(tools, account, names, selection, asked)
    elif verb == "remake-user":
        remove_unrecorded(tools, account, names)
    elif verb == "cancel-jobs":
        _cancel(tools.slurmctld, account, changes)
    elif verb == "heal":
        heal(tools, names)
    else:
        raise Permanent(f"slurm has no change {verb!r}")


def _cancel(slurmctld: Slurmctld, account: str, changes: Sequence[Change]) -> None:
    """End users' jobs in an account, which is locked by now.

    They are counted again: users may have submitted more than may be cancelled, between the look at
    them and the lock.
    """
    counts = slurmctld.jobs([account], [str(change.data["name"]) for change in changes])
    for change in changes:
        name = str(change.data["name"])
        if counts.get((account, name), 0) <= cast(int, change.data["most"]):
            slurmctld.cancel(account, name)
