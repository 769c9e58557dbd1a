"""What `provisioner doctor` says of a Slurm: slurmdbd, its version, its cluster, slurmctld.

Promises: reads only, and never raises. Leaves out: anything about one account or user.
"""

from __future__ import annotations

from handlers.slurm.client import Tools
from provisioner.contract import Fault, Finding, Level

TRIED = ("22.05", "24.11", "26.05")
"""Releases over which every contract test of this handler passed: docs/versions.md."""

DIFFERS = {
    "24.11": "known to differ: it may lose what two sacctmgr write at once, so that what somebody "
    "types beside the service is worth a look afterwards",
    "26.05": "known to differ: it refuses some values that earlier ones cut off, see docs/slurm.md",
}
"""What a release does otherwise, for who runs it."""


def check_slurm(tools: Tools, cluster: str) -> list[Finding]:
    """Check what a handler needs of Slurm."""
    try:
        known = tools.clusters()
    except Fault as fault:
        return [Finding(Level.ERROR, "slurmdbd", fault.message, fault.advice)]
    if cluster not in known:
        advice = f"sacctmgr -i add cluster {cluster}; or mend `cluster` in the configuration"
        found = f"knows {', '.join(known) or 'no cluster'}, not {cluster}"
        return [Finding(Level.ERROR, "slurmdbd", found, advice)]
    answers = Finding(Level.OK, "slurmdbd", f"answers, and knows cluster {cluster}")
    return [answers, _version(tools), *_controller(tools)]


def judged(version: str) -> Finding:
    """Say of a slurmdbd's version whether it was tried. version: `24.11.5`; '' for an unknown."""
    release = ".".join(version.split(".")[:2])
    if release in TRIED:
        differs = DIFFERS.get(release)
        said = f"{version}: tried" + (f"; {differs}" if differs else "")
        return Finding(Level.OK, "slurmdbd", said)
    return Finding(
        Level.WARNING,
        "slurmdbd",
        f"{version or 'of an unknown version'}: not tried, unlike {', '.join(TRIED)}",
        "every write is read back here as well; try a request of each kind before you rely on it, "
        "and see docs/versions.md",
    )


def _version(tools: Tools) -> Finding:
    try:
        return judged(tools.version())
    except Fault as fault:
        return Finding(Level.WARNING, "slurmdbd", f"does not say its version: {fault.message}")


def _controller(tools: Tools) -> list[Finding]:
    try:
        tools.failed_uids(["root"], ["root"])
    except Fault as fault:
        # Users wait for it: who is held with a failed lookup is found before each write.
        return [Finding(Level.ERROR, "slurmctld", fault.message, fault.advice)]
    answers = Finding(Level.OK, "slurmctld", "answers")
    try:
        return [answers, *(_enforcement(tools.enforced()) if tools.scontrol else ())]
    except Fault as fault:
        said = f"does not say what it enforces: {fault.message}"
        return [answers, Finding(Level.WARNING, "slurmctld", said, fault.advice)]


_HOLDS = {
    "associations": (Level.ERROR, "who was never let in, suspended or removed can run jobs"),
    "limits": (Level.ERROR, "limits and suspensions are kept, and hold nobody back"),
    "qos": (Level.WARNING, "a QOS may be used by those who do not have it"),
}
"""What each word of AccountingStorageEnforce holds, by what happens without it (slurm.conf(5))."""

_IMPLIED = {
    "associations": {"limits", "safe", "qos", "all", "wckeys"},
    "limits": {"safe", "all"},
    "qos": {"all"},
}
"""Words that stand for each of them as well."""


def _enforcement(enforced: frozenset[str]) -> list[Finding]:
    """Say what slurmctld keeps and does not enforce."""
    advice = "set `AccountingStorageEnforce=associations,limits,qos` in slurm.conf, and restart it"
    missing = [
        Finding(level, "slurmctld", f"enforces no {word}: {what}", advice)
        for word, (level, what) in _HOLDS.items()
        if word not in enforced and enforced.isdisjoint(_IMPLIED[word])
    ]
    said = f"enforces {', '.join(sorted(enforced))}"
    return missing or [Finding(Level.OK, "slurmctld", said)]
