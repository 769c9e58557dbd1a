"""What `provisioner doctor` reports about a Slurm: slurmdbd, its version, its cluster, slurmctld.

Promises: reads only, and never raises. Leaves out: anything about one account or user.
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.slurm.client import Tools
from handlers.slurm.database import check_database
from provisioner.contract import Fault, Finding, Level

TRIED = ("22.05", "24.11", "26.05")
"""Releases on which every contract test of this handler passed: docs/versions.md."""

DIFFERS = {
    "24.11": "known difference: it may lose a write if two sacctmgr write at the same time, also "
    "with exit code 0, so check the result of what you type while the service runs",
    "26.05": "known difference: it refuses some values that earlier releases cut off "
    "(docs/slurm.md)",
}
"""How a release differs, for people who run it."""


def check_slurm(tools: Tools, cluster: str) -> list[Finding]:
    """Return findings about everything that the handler needs of Slurm."""
    try:
        known = tools.slurmdbd.clusters()
    except Fault as fault:
        return [Finding(Level.ERROR, "slurmdbd", fault.message, fault.advice)]
    if cluster not in known:
        advice = f"sacctmgr -i add cluster {cluster}; or fix `cluster` in the configuration"
        found = f"knows {', '.join(known) or 'no cluster'}, not {cluster}"
        return [Finding(Level.ERROR, "slurmdbd", found, advice)]
    answers = Finding(Level.OK, "slurmdbd", f"answers, and knows cluster {cluster}")
    way, version, database = _way(tools), _version(tools), check_database(tools.database)
    return [answers, *way, version, *database, *_controller(tools), *_jobs(tools)]


def judged(version: str) -> Finding:
    """Return whether a slurmdbd's version was tested. version: `24.11.5`; '' for an unknown one."""
    release = ".".join(version.split(".")[:2])
    if release in TRIED:
        differs = DIFFERS.get(release)
        said = f"{version}: tested" + (f"; {differs}" if differs else "")
        return Finding(Level.OK, "slurmdbd", said)
    return Finding(
        Level.WARNING,
        "slurmdbd",
        f"{version or 'of an unknown version'}: not tested, unlike {', '.join(TRIED)}",
        "the service reads back every write here, too; test a request of each kind before you rely "
        "on it, and read docs/versions.md",
    )


def _version(tools: Tools) -> Finding:
    try:
        return judged(tools.slurmdbd.version())
    except Fault as fault:
        return Finding(Level.WARNING, "slurmdbd", f"does not say its version: {fault.message}")


def _way(tools: Tools) -> list[Finding]:
    """Return what there is to say of the way to slurmdbd."""
    try:
        return [*tools.slurmdbd.findings()]
    except Fault as fault:
        return [Finding(Level.ERROR, "slurmdbd", fault.message, fault.advice)]


def _controller(tools: Tools) -> list[Finding]:
    try:
        tools.slurmctld.held(["root"], ["root"])
    except Fault as fault:
        # Users wait for slurmctld: the handler looks for failed lookups before each write.
        return [Finding(Level.ERROR, "slurmctld", fault.message, fault.advice)]
    answers = Finding(Level.OK, "slurmctld", "answers")
    try:
        return [
            answers,
            *(_enforcement(tools.slurmctld.enforced()) if tools.slurmctld.scontrol else ()),
        ]
    except Fault as fault:
        said = f"does not say what it enforces: {fault.message}"
        return [answers, Finding(Level.WARNING, "slurmctld", said, fault.advice)]


def _jobs(tools: Tools) -> list[Finding]:
    """Run squeue and scancel: otherwise the first who leaves would find that one is missing."""
    findings = []
    if tools.slurmctld.squeue:
        findings.append(_answers("squeue", lambda: tools.slurmctld.running("root", ["root"])))
    if tools.slurmctld.scancel:
        findings.append(_answers("scancel", tools.slurmctld.check_cancel))
    return findings


def _answers(program: str, ask: Callable[[], object]) -> Finding:
    try:
        ask()
    except Fault as fault:
        return Finding(Level.ERROR, program, fault.message, fault.advice)
    return Finding(Level.OK, program, "answers")


_HOLDS = {
    "associations": (Level.ERROR, "users without an association, or removed ones, can run jobs"),
    "limits": (Level.ERROR, "limits and suspensions are stored, but stop nobody"),
    "qos": (Level.WARNING, "users can use a QOS that they do not have"),
}
"""For each word of AccountingStorageEnforce, what happens without it (slurm.conf(5))."""

_IMPLIED = {
    "associations": {"limits", "safe", "qos", "all", "wckeys"},
    "limits": {"safe", "all"},
    "qos": {"all"},
}
"""Words that imply each of them."""


def _enforcement(enforced: frozenset[str]) -> list[Finding]:
    """Return findings about what slurmctld stores but does not enforce."""
    advice = "set `AccountingStorageEnforce=associations,limits,qos` in slurm.conf, and restart it"
    missing = [
        Finding(level, "slurmctld", f"does not enforce {word}: {what}", advice)
        for word, (level, what) in _HOLDS.items()
        if word not in enforced and enforced.isdisjoint(_IMPLIED[word])
    ]
    said = f"enforces {', '.join(sorted(enforced))}"
    return missing or [Finding(Level.OK, "slurmctld", said)]
