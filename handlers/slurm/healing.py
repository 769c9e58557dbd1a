"""Healing: slurmctld looks up again the users whom it could not look up, and they lose nothing.

Promises: every association, limit and right stays; nobody who has jobs is deleted. Leaves out:
which users to heal (`plan`).

slurmctld looks a user up once, for the user's own record and for each association, and keeps a
failure: it then refuses jobs. `sacctmgr modify` fixes neither; deleting and adding does, and so
does `scontrol reconfigure`, which reads everything again (22.05.8, 24.11.5, 26.05.5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from handlers.slurm.client import Association, Tools
from handlers.slurm.limits.limits import add_words
from provisioner.contract import NotReady, Transient

ONE_BY_ONE = 20
"""Up to this many users, each is deleted and added; for more, `reconfigure` is cheaper."""


def heal(tools: Tools, users: Collection[str]) -> None:
    """Make slurmctld look users up again.

    A user with a single association is deleted and added again with the same settings, which is
    cheap. For a user with several, with jobs, or with rights that adding does not give, slurmctld
    reads everything again. Raises NotReady if somebody has jobs and the service may not run
    `reconfigure`.
    """
    whole = set(users)
    working: list[str] = []
    if len(users) <= ONE_BY_ONE:
        own: dict[str, list[Association]] = {}
        for _, row in tools.associations_of(users):
            own.setdefault(row.user, []).append(row)
        alone = {user: rows[0] for user, rows in own.items() if len(rows) == 1}
        for user in sorted(alone.keys() - tools.privileged(alone)):
            if _made_anew(tools, alone[user]):
                whole.discard(user)
            else:
                working.append(user)
    if whole:
        _read_again(tools, whole, working)


def _made_anew(tools: Tools, row: Association) -> bool:
    """Delete a user and add them again; return False if Slurm does not delete them."""
    try:
        tools.write(["delete", "user", "where", f"name={row.user}"])
    except Transient:
        # ` Error with request: Job(s) active, cancel job(s) before remove` (22.05.8)
        return False
    add_as_it_was(tools, row)
    return True


def add_as_it_was(tools: Tools, row: Association) -> None:
    """Add a user's association again, with its partition and its limits."""
    partition = [f"partition={row.partition}"] if row.partition else []
    where = [f"cluster={tools.cluster}", f"account={row.account}", *partition]
    tools.write(["add", "user", row.user, *where, *add_words(row.limits)])


def _read_again(tools: Tools, users: Collection[str], working: Collection[str]) -> None:
    try:
        tools.reconfigure()
    except Transient as fault:
        if set(users) - set(working):
            raise
        raise NotReady(
            f"slurmctld holds a failed uid lookup of {', '.join(sorted(working)[:3])}, who cannot "
            f"be deleted and added again while they have jobs; {fault.message}",
            advice="run `scontrol reconfigure`, or wait until their jobs end",
        ) from None
    # A user read again has no default account (`DefAccount=(null)`, 22.05.8), and sbatch without
    # -A is refused until it is set again.
    set_defaults(tools, tools.default_accounts(users))


def set_defaults(tools: Tools, chosen: Mapping[str, str]) -> None:
    """Set users' default accounts, in one call for each account."""
    for account in sorted(set(chosen.values())):
        names = ",".join(name for name, one in chosen.items() if one == account)
        where = ["where", f"name={names}", f"cluster={tools.cluster}"]
        tools.write(["modify", "user", *where, "set", f"defaultaccount={account}"])
