"""GPFS filesets: created, limited, linked, owned and closed, by any transport.

Promises: keys `INSTANCE/fileset/NAME`; the handler observes quota, inode limit, junction, owner,
mode and NFSv4 ACL separately; it changes only a fileset whose comment begins with our mark
(`SERVICE:INSTANCE/fileset/NAME`), or one that a request may adopt. A suspended or unclaimed fileset
belongs to root alone and keeps its data, quota and junction.
Leaves out: deleting, unlinking, moving and renaming filesets, AFM, snapshots, setting quotas of
users and groups. The directories above a junction must exist and belong to admins (`above`),
because mm commands, chown and chmod go by path.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from handlers.gpfs import plan, words, writes
from handlers.gpfs import state as filesets
from handlers.gpfs.above import Way, foreseen, is_placed, takes
from handlers.gpfs.doctor import check_filesystem
from handlers.gpfs.look import Look
from handlers.gpfs.mm import arguments
from handlers.gpfs.mm.client import Mm
from handlers.gpfs.rest.connect import connect
from handlers.gpfs.settings import Params, Settings, special
from handlers.gpfs.state import Fileset, Wanted
from handlers.gpfs.terms import nfs4, usage
from handlers.gpfs.terms.units import kib
from handlers.gpfs.transport import Transport, doubt, mount_of
from provisioner.contract import (
    Change,
    Claim,
    ConfigError,
    Fault,
    Finding,
    Handler,
    InvalidRequest,
    Json,
    Key,
    KnownAfter,
    Level,
    Meter,
    NotReady,
    Permanent,
    Scalar,
    Site,
    State,
    Transient,
    Want,
    make_key,
    read_params,
    read_settings,
    split_key,
)

__all__ = ["FilesetHandler", "Params", "Settings", "build"]

_ACL_VALUES = ("fileset", "path", "uid", "gid", "group")
"""What an ACL template may use."""


class FilesetHandler:
    """The filesets of one file system; see `provisioner.contract.Handler`."""

    def __init__(self, site: Site, settings: Settings, transport: Transport) -> None:
        self._site = site
        self._settings = settings
        self.lane = f"gpfs:{settings.cluster}"
        self._transport = transport
        self._look = Look(transport, settings.mount)

    # What is wanted.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return what one fileset should be. Raises InvalidRequest that names the parameter."""
        given = read_params(Params, params)
        for field in ("uid", "gid"):
            self._check_id(field, getattr(given, field))
        if given.for_group is not None and given.gid is None:
            raise InvalidRequest(
                f"the group {given.for_group} has no gid, so the fileset would stay root's",
                field="gid",
                expected="a gidNumber of the group (the setting `ids` of `ad_group`), or, if the "
                "hosts map SIDs to ids, `settings: {groups_resolve: true}` of the resource",
            )
        chosen = self._settings
        kind, parent = given.kind or chosen.kind, given.parent or chosen.parent
        if kind == "independent" and given.parent not in {None, "root"}:
            raise InvalidRequest(
                "an independent fileset has its own inode space and no parent",
                field="parent",
                expected="no parent, or kind: dependent",
            )
        parent = parent if kind == "dependent" else "root"
        quota = given.quota or chosen.quota
        files = given.files or chosen.files
        inodes = (given.inode_limit or files) if kind == "independent" else None
        if kind == "dependent" and given.inode_limit is not None:
            raise InvalidRequest(
                "a dependent fileset has no inode limit of its own",
                field="inode_limit",
                expected="files, or kind: independent",
            )
        mode = given.mode or chosen.mode
        if isinstance(mode, str) and chosen.paths == "rest" and special(mode):
            raise InvalidRequest(
                f"mode {mode}: the REST API has no endpoint for set-id and sticky bits",
                field="mode",
                expected="a mode of three digits, or `paths: tools` in the configuration",
            )
        want: dict[str, Any] = {
            "name": given.fileset,
            "path": self._path(given, kind, parent),
            "kind": kind,
            "parent": parent,
            "quota": kib(quota) if isinstance(quota, int) else quota,
            "files": files,
            "inode_limit": inodes,
            "uid": given.uid,
            "gid": given.gid,
            "mode": mode,
            "acl": self._acl(given),
            "adopt": given.adopt,
        }
        return {self._key(given.fileset): want}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want: limits are the largest; where claims disagree about the rest, it stays
        unchanged."""
        return filesets.merge(claims, prior, split_key(key)[-1]).json()

    def prior(self, key: Key, state: State) -> State | None:
        """Return owner, mode and ACL of an open fileset, to save them."""
        return filesets.prior(Fileset.of(state))

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want that opens a fileset with its former owner, mode and ACL, and no more."""
        return filesets.as_before(Wanted.of(want), Fileset.of(state), prior).json()

    def stores(self, key: Key) -> bool:
        """Return True: any fileset may hold data; only another call could tell."""
        return True

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True if a quota becomes so small that people can hardly write any more."""
        return filesets.shuts(Wanted.of(before), Wanted.of(after))

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes. Raises Conflict for a fileset that is not ours, of another kind, or
        linked elsewhere, and Permanent if quotas or ACLs cannot hold, or a cut is forbidden."""
        wanted, found = Wanted.of(want), Fileset.of(state)
        changes = plan.plan(key, self._mark(key), wanted, found, self._settings.root)
        cut = any(change.verb == "set-quota" for change in changes) and words.cuts(wanted, found)
        if cut and self._settings.below_use == "refuse":
            raise Permanent(
                f"{key}: {'; '.join(words.below_use(wanted, found))}; this site forbids such a cut",
                advice="ask for a larger quota, or have files removed; see the setting `below_use`",
            )
        return changes

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Return a line for each limit below what is in use."""
        return words.below_use(Wanted.of(want), Fileset.of(state))

    def described(self, key: Key, state: State) -> Mapping[str, str]:
        """Return use and quota, path, mode and owner."""
        return words.described(Fileset.of(state))

    def used(self, state: State) -> Mapping[str, int]:
        """Return the use of space, in bytes, and of files."""
        return words.used(Fileset.of(state))

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the commands that delete a fileset with its files."""
        return words.removal(Fileset.of(state))

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Return the limits that are wanted; routes decide owner, mode and ACL."""
        return filesets.sets(Wanted.of(want))

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Return the limits that a fileset has."""
        return filesets.holds(Fileset.of(state))

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each quota that is too large for the cluster, each junction whose path
        is in use, and each path that somebody who is not an admin could replace."""
        refused = arguments.refused(changes, self._transport.release)
        changes = [change for change in changes if change.key not in refused]
        paths = [str(c.data["path"]) for c in changes if "path" in c.data]
        if not paths:
            return refused
        facts = self._transport.facts()
        mount = mount_of(facts, self._settings.mount)
        placed = [change for change in changes if is_placed(change, mount)]
        records = self._transport.filesets() if placed else []
        if (fault := doubt(self._transport, records)) is not None:
            # Nobody can judge the ways then; changes that need none go on.
            refused = {**refused, **dict.fromkeys((change.key for change in placed), fault)}
            changes, records = [c for c in changes if c.key not in refused], []
        ways = foreseen(self._way(mount), changes, acls=facts.nfs4, records=records)
        return {**refused, **ways}

    def _way(self, mount: str) -> Way:
        return Way(self._transport, mount, self._settings.admins)

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return `path` and `fileset`."""
        found = Fileset.of(state)
        return {"path": found.path, "fileset": found.name}

    # What is there.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Read filesets: one listing, one quota report, one stat for all, and an ACL for each."""
        names = {key: split_key(key)[-1] for key in keys}
        absent, found = self._look.at({name: self._mark(key) for key, name in names.items()})
        seen = {key: filesets.named(name, found) or absent for key, name in names.items()}
        return {k: f if isinstance(f, Fault) else f.json() for k, f in seen.items()}

    def metered(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Meter]]:
        """Return the use of filesets, by one report of quotas; those it lacks are left out."""
        rows = self._transport.quotas(Path(self._settings.filesystem).name)
        return usage.metered({key: split_key(key)[-1] for key in keys}, rows)

    def metered_users(self, fileset: str) -> Mapping[int, Sequence[Meter]]:
        """Return the use of all users, by uid, by one report of quotas."""
        rows = self._transport.user_quotas(Path(self._settings.filesystem).name)
        return usage.metered_users(self._settings.filesystem, fileset, rows)

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return all filesets except `root` and those whose names cannot be keys."""
        _, found = self._look.at(None)
        for _, fileset in sorted(found.items()):
            if isinstance(fileset, Fileset):
                try:
                    key = self._key(filesets.known_as(fileset))
                except InvalidRequest:
                    continue
                yield key, fileset.json()

    # What is written.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group.

        A failed command counts as failed only if the change cannot be seen afterwards.
        """
        walked = writes.walked(self._transport, changes)
        if walked:
            way = self._way(str(walked[0].data["mount"]))
            if changes[0].verb == "set-acl" and takes(changes[0]) and way.close_acl(changes[0]):
                return
            way.check(walked)
        try:
            writes.write(self._transport, changes)
        except (Permanent, Transient) as fault:
            if all(self._settled(change) for change in changes):
                return
            self._blame(changes[0], fault)
            raise

    def _settled(self, change: Change) -> bool:
        found = self.observe([change.key])[change.key]
        return not isinstance(found, Fault) and plan.SETTLED[change.verb](
            Fileset.of(found), change.data
        )

    def _blame(self, change: Change, fault: Fault) -> None:
        """Raise the fault that says what a failed change leaves; NotReady if it waits for
        something."""
        parent = change.data.get("parent")
        if change.verb == "link" and isinstance(fault, Permanent):
            raise arguments.not_linked(change, fault, self._settings.filesystem) from fault
        if change.verb != "create" or not isinstance(parent, str):
            return
        if parent not in {record["filesetName"] for record in self._transport.filesets()}:
            raise NotReady(
                f"{change.key}: its parent, the fileset {parent}, does not exist yet: "
                f"{fault.message}",
                advice=f"ask for {parent} first",
            ) from fault

    # Doctor.

    def check(self) -> Sequence[Finding]:
        """Check commands, daemon, file system, quotas, mount point and ACL templates."""
        acl = self._settings.acl
        findings = check_filesystem(
            self._transport, self._settings, self._site.instance, self._mark(self._key("x"))[:-1]
        )
        try:
            self.claims({"fileset": "check"})
            if acl is not None:
                self._render_acl(acl, dict.fromkeys(_ACL_VALUES, "check"))
        except Fault as fault:
            return [*findings, Finding(Level.ERROR, self._site.instance, fault.message)]
        return findings

    # Parts of a want.

    def _key(self, name: str) -> Key:
        return make_key(self._site.instance, "fileset", name)

    def _mark(self, key: Key) -> str:
        return f"{self._site.service}:{key}"

    def _check_id(self, field: str, value: int | KnownAfter | None) -> None:
        low, high = self._settings.min_id, self._settings.max_id
        if isinstance(value, int) and not low <= value <= high:
            raise InvalidRequest(
                f"{field} {value} may not own a fileset",
                field=field,
                expected=f"{low} to {high} (`min_id` and `max_id` of {self._site.instance})",
            )

    def _path(self, given: Params, kind: str, parent: str) -> str:
        values = {"fileset": given.fileset, "kind": kind, "parent": parent}
        path = given.path or self._site.render(self._settings.path, values)
        mount = self._settings.mount
        if mount is not None and PurePosixPath(path).is_relative_to(mount):
            path = str(PurePosixPath(path).relative_to(mount))
        # If the mount point is not known yet, `plan` checks an absolute path against it.
        late = mount is None and path.startswith("/")
        parts = (path[1:] if late else path).split("/")
        named = all(re.fullmatch(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]{0,254}", p) for p in parts)
        root = self._settings.root
        if not named or {".", ".."} & set(parts):
            what, expected = "mount point", "names of letters, digits and _ . @ + -"
            expected += ", separated by single slashes"
        elif root and not late and not path.startswith(f"{root}/"):
            what, expected = f"root {root}", f"a path that begins with {root}/, or no path"
        else:
            return path
        raise InvalidRequest(
            f"{path!r} is not a path below the {what}", field="path", expected=expected
        )

    def _acl(self, given: Params) -> str | KnownAfter | None:
        name = given.acl or self._settings.acl
        if name is None:
            return None
        values = {f: getattr(given, f) for f in _ACL_VALUES}
        for value in values.values():
            if isinstance(value, KnownAfter):
                self._site.template(f"acl/{name}.j2")
                return value
        return self._render_acl(name, values)

    def _render_acl(self, name: str, values: Mapping[str, object]) -> str:
        try:
            template = self._site.template(f"acl/{name}.j2").read_text(encoding="utf-8")
            return nfs4.template(self._site.render(template, values))
        except (OSError, ValueError) as error:
            raise InvalidRequest(
                f"the ACL template acl/{name}.j2 cannot be used: {error}",
                field="acl",
                expected="a template of an NFSv4 ACL, as templates/acl/project.j2",
            ) from error


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler of one file system; raises ConfigError naming the setting."""
    chosen = read_settings(Settings, settings)
    for name in ("mount", "mm_path", "tools", "ca_file"):
        path: Path | None = getattr(chosen, name)
        if path is not None and (not path.is_absolute() or ".." in path.parts):
            raise ConfigError(f"{name}: {path} is not an absolute path")
    return FilesetHandler(site, chosen, _transport(site, chosen))


def _transport(site: Site, chosen: Settings) -> Transport:
    if chosen.transport == "rest":
        return connect(site, chosen)
    return Mm(
        run=site.run,
        filesystem=chosen.filesystem,
        prefix=chosen.prefix,
        mm_path=str(chosen.mm_path),
        tools=str(chosen.tools),
        timeout=chosen.timeout,
    )
