"""Filesets as they are: read from one listing, one report of quotas, one stat, and an ACL for each.

Promises: the reading reports a fileset as absent, open or closed only if complete output says so. A
row that cannot be trusted makes its fileset Unavailable. If a row is missing in the listing or in
the report, the handler asks for that fileset by name, because output that was cut after a line
looks like a shorter one. If nothing is at a junction and the file system is visibly mounted, one
directory is lost; otherwise the whole file system is Unavailable.
Leaves out: filesets that are missing in the listing of a file system that enforces no quotas,
because no report says that they exist.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.gpfs import state
from handlers.gpfs.state import Fileset
from handlers.gpfs.terms import listing, nfs4
from handlers.gpfs.terms.rows import Record, Unreadable
from handlers.gpfs.terms.usage import Quota
from handlers.gpfs.transport import Entry, Facts, Transport, mount_of, unavailable_if_unreadable
from provisioner.contract import Conflict, Fault, Permanent, Unavailable

READERS = 4
"""How many commands for one path or name run at the same time."""

_Rows = Mapping[tuple[str, str], Record]


@dataclass(frozen=True, slots=True)
class Look:
    """Reads the filesets of one file system. mount: its mount point; None: mmlsfs tells it."""

    transport: Transport
    mount: Path | None = None

    def at(self, names: Mapping[str, str] | None) -> tuple[Fileset, dict[str, Fileset | Fault]]:
        """Return an absent fileset, and filesets by name in any case, or all but `root`.

        names: each with our mark, by which one that somebody renamed is known. A Fault as a value
        concerns one fileset. Raises Unavailable if nothing can be read.
        """
        facts = self.transport.facts()
        absent = Fileset(
            present=False,
            filesystem=self.transport.filesystem,
            mount=mount_of(facts, self.mount),
            block_kib=facts.block_kib,
            enforced="fileset" in facts.enforced,
        )
        records = self.transport.filesets()
        rows = [r for r in records if r["filesetName"] != "root"]
        quotas = self._quotas(absent.enforced, records[0]["filesystemName"])
        results: dict[str, Fileset | Fault] = {}
        if names is not None:
            lowered, listed = {n.lower() for n in names}, {r["filesetName"] for r in records}
            results |= self._lost({n for n, _ in quotas if n.lower() in lowered} - listed)
            results |= state.renamed(names, rows)
            rows = [r for r in rows if r["filesetName"].lower() in lowered]
        if not rows:
            return absent, results
        doubted = listing.doubted(records)
        sound = [r for r in records if r["filesetName"] not in doubted]
        with unavailable_if_unreadable(f"mmlsfileset {self.transport.filesystem}"):
            spaces = listing.spaces(sound)

        def read(record: Record) -> Fileset | Fault:
            name = record["filesetName"]
            try:
                with unavailable_if_unreadable(f"fileset {name}"):
                    if name in doubted:
                        raise doubted[name]
                    quota = self._quota(record, quotas, enforced=absent.enforced)
                    return state.fileset_of(record, quota, spaces, absent)
            except Unavailable as fault:
                return fault

        with ThreadPoolExecutor(READERS) as readers:
            by_name = dict(
                zip((r["filesetName"] for r in rows), readers.map(read, rows), strict=True)
            )
            linked = [f for f in by_name.values() if isinstance(f, Fileset) and f.linked]
            roots = self._roots(linked, records, facts, readers)
        return absent, results | by_name | roots

    def _lost(self, names: Collection[str]) -> dict[str, Fault]:
        """Return a fault for each fileset that has a quota and a row of its own, but is not in the
        listing."""
        lost = sorted(name for name in names if not self.transport.absent(name))
        return {
            name: Unavailable(
                f"fileset {name} has a quota but is missing in the list of mmlsfileset "
                f"{self.transport.filesystem}, although mmlsfileset shows it by name: the list was "
                "cut, or somebody is creating it now",
                advice="nothing to do: the service reads it again",
            )
            for name in lost
        }

    def _quotas(self, enforced: bool, filesystem: str) -> _Rows:
        try:
            return self.transport.quotas(filesystem)
        except Unavailable:
            # mmrepquota fails if no quota is enforced; the plan reports that if a quota is wanted.
            if enforced:
                raise
            return {}

    def _quota(self, record: Record, quotas: _Rows, *, enforced: bool) -> Quota | None:
        """Return a fileset's quota; asks by name for one that the report lacks."""
        name, filesystem = record["filesetName"], record["filesystemName"]
        row = quotas.get((name, record["id"]))
        if row is None and enforced:
            own = self.transport.quota(name, filesystem)
            row = own.get((name, record["id"]))
            if own and row is None:
                raise Unreadable(f"a quota of another fileset {name}", listing.row(record))
        return None if row is None else Quota.of(row)

    def _roots(
        self,
        linked: Sequence[Fileset],
        records: Sequence[Record],
        facts: Facts,
        readers: ThreadPoolExecutor,
    ) -> dict[str, Fileset | Fault]:
        """Return filesets with what stat and mmgetacl say of their root directories."""
        if not linked:
            return {}
        mount = linked[0].mount
        entries = self.transport.stat([mount, *(f.path for f in linked)])
        lost = [f for f in linked if f.path not in entries]
        if lost and not mounted(self.transport, mount, records):
            raise Unavailable(
                f"fileset {lost[0].name} is linked at {lost[0].path}, but nothing is there, and "
                f"{mount} does not look like {self.transport.filesystem}: is it mounted on this "
                "node?",
                advice=f"mount it: `mmmount {self.transport.filesystem}`",
            )
        wrong = state.exchanged(linked, records, entries)

        def whole(one: Fileset) -> Fileset | Fault:
            return wrong.get(one.name) or self._with_root(one, entries.get(one.path), facts)

        return dict(zip((f.name for f in linked), readers.map(whole, linked), strict=True))

    def _with_root(self, fileset: Fileset, entry: Entry | None, facts: Facts) -> Fileset | Fault:
        if entry is None:
            return Unavailable(
                f"fileset {fileset.name} is linked at {fileset.path}, but stat sees nothing there, "
                f"though {fileset.filesystem} is mounted: its root directory is lost, or a "
                "directory above it",
                advice=f"stat {fileset.path}; if it is damaged, mmfsck {fileset.filesystem}; or "
                f"link it again: mmunlinkfileset {fileset.filesystem} {fileset.name} -f, then "
                f"mmlinkfileset {fileset.filesystem} {fileset.name} -J {fileset.path}",
            )
        if not entry.directory:
            return Conflict(
                f"fileset {fileset.name} is linked at {fileset.path}, which is not a directory",
                advice="find out who made it; nothing was changed",
            )
        whole = replace(fileset, uid=entry.uid, gid=entry.gid, mode=entry.mode)
        if not facts.nfs4:
            return whole
        try:
            acl = self.transport.acl(fileset.path)
            nfs4.parse(acl)
        except Unavailable as fault:
            return fault
        except ValueError as error:
            return Permanent(f"mmgetacl of {fileset.path} cannot be read: {error}")
        return replace(whole, acl=acl)


def mounted(transport: Transport, mount: str, records: Sequence[Record]) -> bool:
    """Return True if a file system is surely mounted.

    Its root directory has the inode that the listing names. If stat numbers inodes differently from
    the file system (as over NFS), a directory at any fileset's junction proves it.
    """
    entry = transport.stat([mount]).get(mount)
    if entry is None or entry.inode == state.root_inode(records):
        return entry is not None
    junctions = [r["path"] for r in records if r["status"] == "Linked" and r["path"] != mount]
    return any(found.directory for found in transport.stat(junctions).values())
