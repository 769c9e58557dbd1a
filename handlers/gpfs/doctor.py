"""What `provisioner doctor` reports about a GPFS file system.

Promises: daemon, commands, quotas, mount point and listing, each with advice on how to fix it;
never raises.
Leaves out: anything about one fileset.
"""

from __future__ import annotations

from collections.abc import Iterator

from handlers.gpfs.above import Way
from handlers.gpfs.look import mounted
from handlers.gpfs.settings import Settings
from handlers.gpfs.transport import Facts, Line, Transport, mount_of
from provisioner.contract import Fault, Finding, Level


def check_filesystem(
    transport: Transport, settings: Settings, subject: str, mark: str
) -> list[Finding]:
    """Return findings about one file system. mark: how the comments of our filesets begin."""
    findings: list[Finding] = []
    try:
        for level, message, advice in _all(transport, settings, mark):
            findings.append(Finding(level, subject, message, advice))
    except Fault as fault:
        findings.append(Finding(Level.ERROR, subject, fault.message, fault.advice))
    return findings


def _all(transport: Transport, settings: Settings, mark: str) -> Iterator[Line]:
    yield from transport.checks()
    facts = transport.facts()
    yield from _quotas(transport, settings, facts)
    yield _mounted(transport, settings, facts)
    yield _root(transport, settings, facts)
    if settings.acl is not None and not facts.nfs4:
        advice = f"run `mmchfs {settings.filesystem} -k nfs4`, or remove the setting `acl`"
        yield Level.ERROR, "the file system keeps no NFSv4 ACLs", advice
    records = transport.filesets()
    mine = sum(record.get("comment", "").startswith(mark) for record in records)
    yield Level.OK, f"{len(records)} filesets, {mine} with our mark", ""


def _quotas(transport: Transport, settings: Settings, facts: Facts) -> Iterator[Line]:
    device = settings.filesystem
    if "fileset" in facts.enforced:
        yield Level.OK, f"{device} enforces fileset quotas", ""
    else:
        said = " ".join(facts.enforced) or "none"
        advice = f"run `mmchfs {device} -Q yes`, then `mmcheckquota {device}`"
        yield Level.ERROR, f"{device} does not enforce fileset quotas (enforced: {said})", advice
    per = facts.values.get("perfilesetQuotas", "unknown").lower()
    yield Level.OK, f"user quotas for each fileset (perfilesetQuotas): {per}", ""


def _root(transport: Transport, settings: Settings, facts: Facts) -> Line:
    """Check that only admins could replace the directories that filesets are linked below."""
    mount = mount_of(facts, settings.mount)
    root = f"{mount}/{settings.root}" if settings.root else mount
    wrong = Way(transport, mount, settings.admins).look([f"{root}/x"], acls=facts.nfs4)
    for fault in wrong.values():
        return Level.ERROR, fault.message, fault.advice
    return Level.OK, f"{root} and everything above it belong to admins only", ""


def _mounted(transport: Transport, settings: Settings, facts: Facts) -> Line:
    mount = mount_of(facts, settings.mount)
    entry = transport.stat([mount]).get(mount)
    if entry is not None and entry.directory and mounted(transport, mount, transport.filesets()):
        return Level.OK, f"{settings.filesystem} is at {mount}", ""
    advice = f"run `mmmount {settings.filesystem}`; check the setting `mount`"
    return Level.ERROR, f"{mount} does not look like {settings.filesystem}: not mounted?", advice
