"""When people last had a job, from slurmdbd's records.

Promises: some calls for each cluster, of a month each, however many people there are: sacct takes
no list of names, as one that does not resolve makes it fail. Who has a job that runs uses
the cluster now. Raises a Fault if records do not go back far enough (slurmdbd.conf(5),
PurgeJobAfter), or if sacct shows jobs of fewer than two people: under PrivateData=jobs, one who is
no operator sees their own and no error. Leaves out: logins. Source: sacct(1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.slurm.programs import Programs
from provisioner.contract import Permanent, Unavailable, Uses

MONTH = 30
"""Days of jobs in one call: some 30 bytes a job, and 32 MiB of output at most."""

_DAY = 86400.0
_PURGED = re.compile(r"^PurgeJobAfter\s*=\s*(\S.*?)\s*$", re.MULTILINE)
_TERM = re.compile(r"(\d+)\s*(hour|day|month)s?\b", re.IGNORECASE)
_DAYS = {"hour": 1 / 24, "day": 1.0, "month": 28.0}
_TO_COME = ("Unknown", "None", "")


@dataclass(frozen=True, slots=True)
class Records:
    """The programs that ask a slurmdbd for records of jobs, for one cluster."""

    programs: Programs
    cluster: str
    sacctmgr: Sequence[str] = ("sacctmgr",)
    sacct: Sequence[str] = ("sacct",)

    def config(self) -> str:
        """Return slurmdbd's settings, one a line."""
        return self.programs.ask([*self.sacctmgr, "show", "config"], "slurmdbd")

    def ended(self, first: int, last: int) -> list[tuple[str, str]]:
        """Return (user, end) of each job from so many days ago to so many; an end is in seconds
        since the epoch, or a word for a job that is not over."""
        window = [f"--starttime=now-{first}days", f"--endtime=now-{last}days" if last else ""]
        argv = [*self.sacct, "-X", "-n", "-P", "--allusers", f"--clusters={self.cluster}"]
        argv += [*filter(None, window), "--format=User,End"]
        # An agent takes no environment: its own configuration has the variable.
        by_agent = self.sacct[0].partition(":")[0] == "agent"
        text = self.programs.ask(argv, "slurmdbd", {} if by_agent else {"SLURM_TIME_FORMAT": "%s"})
        if text and not text.endswith("\n"):
            raise Unavailable(f"{' '.join(argv)[:150]}: its output was cut off")
        rows = (line.partition("|") for line in text.splitlines())
        return [(user, end) for user, _, end in rows]


def last_jobs(records: Records, since: float, now: float) -> Uses:
    """Return when each person's last job ended; now for those who have one."""
    days = math.ceil((now - since) / _DAY)
    _check_kept(records.config(), days)
    last: dict[str, float] = {}
    for near in range(0, days, MONTH):
        for user, end in records.ended(min(days, near + MONTH), near):
            if user:
                last[user] = max(last.get(user, 0.0), _moment(records.cluster, end, now))
    if len(last) < 2:
        raise Unavailable(
            f"sacct shows jobs of {len(last)} people on {records.cluster} in {days} days",
            advice="check that the service's user is an operator (`sacctmgr show user NAME`), as "
            "others see only their own jobs under PrivateData=jobs",
        )
    return Uses(last)


def _moment(cluster: str, end: str, now: float) -> float:
    if end in _TO_COME:
        return now
    if not end.isdigit():
        raise Unavailable(
            f"sacct of {cluster} prints the time {end[:40]!r} and not seconds",
            advice="check that what stands before it in `sacct` passes SLURM_TIME_FORMAT on; an "
            "agent needs it in the `environment` of the tool (deploy/examples/agent.toml)",
        )
    return float(end)


def _check_kept(config: str, days: int) -> None:
    """Raise a Fault if slurmdbd forgets jobs earlier, or does not say."""
    found = _PURGED.search(config)
    if found and found[1].upper() == "NONE":
        return
    term = _TERM.match(found[1]) if found else None
    if term is None:
        raise Unavailable(
            "slurmdbd does not say for how long it keeps jobs",
            advice="look for PurgeJobAfter in `sacctmgr show config`",
        )
    if int(term[1]) * _DAYS[term[2].lower()] < days:
        raise Permanent(
            f"slurmdbd forgets jobs after {term[0]}, and {days} days are asked for",
            advice="raise PurgeJobAfter in slurmdbd.conf, lower `idle.after`, or remove the source",
        )
