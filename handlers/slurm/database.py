"""Whether the database below a slurmdbd is set as Slurm needs it, for `provisioner doctor`.

Promises: asks for two variables, for which an account needs no right; never raises. Leaves out:
which database slurmdbd has, as it does not say. Source: slurmdbd 26.05.5 logs at its start `error:
innodb_snapshot_isolation is enabled, which is not supported by Slurm and will cause slurmdbd to
fatal when a write conflicts with a concurrent transaction.  Set innodb_snapshot_isolation=OFF.`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handlers.slurm.programs import Programs
from provisioner.contract import Fault, Finding, Level

SUBJECT = "slurmdbd's database"

QUESTION = "show global variables where variable_name in ('version', 'innodb_snapshot_isolation')"

ADVICE = (
    "set innodb_snapshot_isolation=OFF in MariaDB's configuration, and restart MariaDB and then "
    "slurmdbd; and pause the lane while somebody types sacctmgr (docs/versions.md)"
)


@dataclass(frozen=True, slots=True)
class Database:
    """How to ask it. client: MariaDB's or MySQL's own, with its options; empty: nobody asks."""

    programs: Programs
    client: Sequence[str]

    def variables(self) -> str:
        """Return a line for each variable: its name, a tab, its value. Raises Unavailable."""
        words = ["--batch", "--skip-column-names", f"--execute={QUESTION}"]
        return self.programs.ask([*self.client, *words], "the database")


def check_database(database: Database) -> list[Finding]:
    """Return what the database says of itself, or where to look if it cannot be asked."""
    if not database.client:
        said = (
            "not asked, as the setting `mysql` names no client; with MariaDB 11.6.2 or later, look "
            "that innodb_snapshot_isolation is OFF (slurmdbd 26.05.3 and later log it if it is not)"
        )
        return [Finding(Level.OK, SUBJECT, said)]
    try:
        return [judged(database.variables())]
    except Fault as fault:
        return [Finding(Level.WARNING, SUBJECT, fault.message, fault.advice)]


def judged(variables: str) -> Finding:
    """Return whether slurmdbd can rely on a database. variables: as `variables` returns them.

    MySQL, and a MariaDB before 10.6.18, do not have the setting.
    """
    told = dict(line.split("\t", 1) for line in variables.splitlines() if "\t" in line)
    version = told.get("version", "of an unknown version")
    if told.get("innodb_snapshot_isolation", "OFF").upper() in ("ON", "1"):
        said = (
            f"{version}: innodb_snapshot_isolation is ON, which Slurm does not support; slurmdbd "
            "loses writes of two sacctmgr at once, and may end"
        )
        return Finding(Level.WARNING, SUBJECT, said, ADVICE)
    return Finding(Level.OK, SUBJECT, f"{version}: innodb_snapshot_isolation is not on")
