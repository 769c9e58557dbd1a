"""What `provisioner doctor` reports about a GPFS file system.

Promises: daemon, commands, quotas, mount point and listing, each with advice on how to fix it;
never raises.
Leaves out: anything about one fileset.
"""

from __future__ import annotations

from collections.abc import Iterator

from handlers.gpfs.above import Way
from handlers.gpfs.look import mounted
from handlers.gpfs.mm.client import Facts, Mm, mount_of
from handlers.gpfs.settings import Settings
from provisioner.contract import Fault, Finding, Level


def check_filesystem(mm: Mm, settings: Settings, subject: str, mark: str) -> list[Finding]:
    """Return findings about one file system. mark: how the comments of our filesets begin."""
    findings: list[Finding] = []
    try:
        for level, message, advice in _all(mm, settings, mark):
            findings.append(Finding(level, subject, message, advice))
    except Fault as fault:
        findings.append(Finding(Level.ERROR, subject, fault.message, fault.advice))
    return findings


def _all(mm: Mm, settings: Settings, mark: str) -> Iterator[tuple[Level, str, str]]:
    state = mm.daemon()
    if state != "active":
        advice = "run `mmstartup`; check the settings `prefix` and `mm_path`"
        yield Level.ERROR, f"the GPFS daemon is {state}", advice
        return
    yield Level.OK, "the GPFS daemon is active", ""
    if gone := mm.missing():
        advice = "install them; check the settings `mm_path`, `tools` and `prefix`"
        yield Level.ERROR, f"not there, or cannot be run: {', '.join(gone)}", advice
    facts = mm.facts()
    yield from _quotas(mm, settings, facts)
    yield _mounted(mm, settings, facts)
    yield _root(mm, settings, facts)
    if settings.acl is not None and not facts.nfs4:
        advice = f"run `mmchfs {settings.filesystem} -k nfs4`, or remove the setting `acl`"
        yield Level.ERROR, "the file system keeps no NFSv4 ACLs", advice
    records = mm.filesets()
    mine = sum(record.get("comment", "").startswith(mark) for record in records)
    yield Level.OK, f"{len(records)} filesets, {mine} with our mark", ""


def _quotas(mm: Mm, settings: Settings, facts: Facts) -> Iterator[tuple[Level, str, str]]:
    device = settings.filesystem
    if "fileset" in facts.enforced:
        yield Level.OK, f"{device} enforces fileset quotas", ""
    else:
        said = " ".join(facts.enforced) or "none"
        advice = f"run `mmchfs {device} -Q yes`, then `mmcheckquota {device}`"
        yield Level.ERROR, f"{device} does not enforce fileset quotas (enforced: {said})", advice
    per = facts.values.get("perfilesetQuotas", "unknown").lower()
    yield Level.OK, f"user quotas for each fileset (perfilesetQuotas): {per}", ""
    on_root = mm.config().get("enforceFilesetQuotaOnRoot", "no")
    yield Level.OK, f"quotas also apply to root (enforceFilesetQuotaOnRoot): {on_root}", ""


def _root(mm: Mm, settings: Settings, facts: Facts) -> tuple[Level, str, str]:
    """Check that only admins could replace the directories that filesets are linked below."""
    mount = mount_of(facts, settings.mount)
    root = f"{mount}/{settings.root}" if settings.root else mount
    wrong = Way(mm, mount, settings.admins).look([f"{root}/x"], acls=facts.nfs4)
    for fault in wrong.values():
        return Level.ERROR, fault.message, fault.advice
    return Level.OK, f"{root} and everything above it belong to admins only", ""


def _mounted(mm: Mm, settings: Settings, facts: Facts) -> tuple[Level, str, str]:
    mount = mount_of(facts, settings.mount)
    entry = mm.stat([mount]).get(mount)
    if entry is not None and entry.directory and mounted(mm, mount, mm.filesets()):
        return Level.OK, f"{settings.filesystem} is at {mount}", ""
    advice = f"run `mmmount {settings.filesystem}`; check the setting `mount`"
    return Level.ERROR, f"{mount} does not look like {settings.filesystem}: not mounted?", advice
