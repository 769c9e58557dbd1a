"""Home directories: made whole, owned, closed and opened; never removed.

Promises: a new home appears with its skeleton or not at all; one that is there keeps every file,
and is not taken from another owner. A closed home belongs to root, so that its user cannot open it
again, bears the sticky bit to be told from root's other directories, and opens only to whom it
belonged. None is made or given where others than admins could exchange it. Leaves out: how it is
done on the host (`provisioner.system.directories`), quotas, and automounters.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from provisioner.contract import (
    CLOSED_HOME,
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    Home,
    InvalidRequest,
    Key,
    KnownAfter,
    LateId,
    Level,
    Mode,
    Name,
    Permanent,
    Scalar,
    Site,
    State,
    Transient,
    Want,
    closed_home,
    make_key,
    read_params,
    read_settings,
    split_key,
    together,
)

_AGAIN = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.EBUSY}
_BITS = (("r", 4), ("w", 2), ("x", 1))
_ENTRY = re.compile(r"(d:)?[ug]:[0-9]{1,10}:[r-][w-][x-]\Z")


def _acl(value: str) -> str:
    for entry in _entries(value):
        if not _ENTRY.match(entry):
            raise ValueError(f"{entry!r} is no entry such as u:1234:rwx, g:55:r-x or d:g:55:r-x")
    return value


def _shut(value: str) -> str:
    if _octal(value) & ~0o700:
        raise ValueError(f"{value} lets others in than root, such as 0000 and 0700 do not")
    return value


Acl = Annotated[str, AfterValidator(_acl)]


class Settings(BaseModel):
    """Where homes are, and what they are like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path = Field(description="directory of the homes, owned by root", examples=["/home"])
    mounted: bool = Field(
        False, description="the root must be a mount point; while it is none, all homes wait"
    )
    path: str = Field(
        "{{ name }}",
        description="path below the root, from `name` alone; directories above a home are made "
        "where they are missing, owned by root, mode 0755",
        examples=["{{ name[0] }}/{{ name }}"],
    )
    known_as: str | None = Field(
        None,
        description="what accounts call a home, from `name` alone, where hosts see it elsewhere "
        "than it is made (an export, an automounter); else its path",
        examples=["/home/{{ name }}"],
    )
    mode: Mode = Field("0700", description="permission bits of a home")
    closed_mode: Annotated[Mode, AfterValidator(_shut)] = Field(
        "0000",
        description="permission bits while it is closed, and belongs to root; none for group and "
        "others",
    )
    skeleton: str | None = Field("home", description="directory of templates that a new home gets")
    acl: Acl = Field("", description="POSIX ACL, numeric", examples=["g:4711:r-x,d:g:4711:r-x"])
    min_id: int = Field(1000, description="lowest uid that may own a home")
    min_gid: int = Field(
        100,
        description="lowest gid of a home; 100 is a usual primary group (`users`); an agent has a "
        "range of its own (`ids`)",
    )
    max_id: int = Field(4294967293, description="highest uid and gid")
    lane: str | None = Field(None, description="lane; else one for the root")


class Params(BaseModel):
    """One home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="whose home")
    uid: LateId = Field(description="owner")
    gid: LateId = Field(description="group")
    mode: Mode | None = Field(None, description="permission bits, where not the site's")
    home: str | None = Field(
        None, description="where the request wants it; refused where homes lie elsewhere"
    )
    account_home: str | KnownAfter | None = Field(
        None,
        description="what the account names, or what resolves; refused where homes lie elsewhere",
    )
    adopt: bool = Field(False, description="take over a directory that another owns")


class HomeDirectory:
    """The handler of one root."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane or f"homes:{settings.root}"
        self._site = site
        self._settings = settings
        self._skeleton = site.template(settings.skeleton) if settings.skeleton else None

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        asked = read_params(Params, params)
        together(
            lambda: self._check_id("uid", asked.uid, "min_id"),
            lambda: self._check_id("gid", asked.gid, "min_gid"),
        )
        want = {
            "present": True,
            "uid": cast(Any, asked.uid),
            "gid": cast(Any, asked.gid),
            "mode": asked.mode,
            "adopt": asked.adopt,
        }
        place = self._known_as(asked.name)
        if asked.home is not None and PurePosixPath(asked.home) != place:
            raise InvalidRequest(
                f"{asked.home!r} is not where the home of {asked.name} is made",
                field="home",
                expected=f"{place}, or none; or a route whose home step is given no `home`",
            )
        named = asked.account_home
        if isinstance(named, str) and named and PurePosixPath(named) != place:
            raise InvalidRequest(
                f"{asked.name} would log in to {named!r}, and their home is made in {place}",
                field="account_home",
                expected=f"{place} in the account, and in what resolves; or `path` and `known_as` "
                f"of {self._site.instance} as accounts have it; then `provisioner retry`",
            )
        return {make_key(self._site.instance, "home", asked.name): want}

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Say where a home is made; one that no account names, as on a scratch disk, is none."""
        if "account_home" not in params:
            return None
        name = read_params(Params, params).name
        return Home(name, str(self._known_as(name)), made=True)

    def _known_as(self, name: str) -> PurePosixPath:
        """Give a home's path, as accounts have it."""
        if self._settings.known_as is not None:
            return PurePosixPath(self._site.render(self._settings.known_as, {"name": name}))
        below = self._path(make_key(self._site.instance, "home", name))
        return PurePosixPath(self._settings.root / below)

    def _check_id(self, field: str, number: int | KnownAfter, setting: str) -> None:
        low, high = getattr(self._settings, setting), self._settings.max_id
        if not isinstance(number, KnownAfter) and not low <= number <= high:
            raise InvalidRequest(
                f"{field} {number} may not own a home",
                field=field,
                expected=f"{low} to {high} (`{setting}` and `max_id` of {self._site.instance})",
            )

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        merged: dict[str, Any] = {}
        for claim in sorted(live or claims, key=lambda claim: claim.claimant):
            for name, value in claim.want.items():
                if name in ("uid", "gid") and merged.get(name, value) != value:
                    raise Conflict(f"{key}: two claims want {name} {merged[name]} and {value}")
                if value is not None:
                    merged[name] = value
        closed, before = not live, prior or {}
        # Of another person's home that had the name, nothing comes back.
        own = before.get("mode") if before.get("uid") == merged.get("uid") else None
        mode = merged.get("mode") or (self._kept(str(own)) if own else self._settings.mode)
        return {
            **merged,
            "present": bool(claims),
            "closed": closed,
            "belonged": before.get("uid"),
            "mode": f"{CLOSED_HOME | _octal(self._settings.closed_mode):04o}" if closed else mode,
            "acl": None if closed else _whole(self._settings.acl, mode),
        }

    def _kept(self, mode: str) -> str:
        """Return what comes back of the mode that a user gave their home.

        A user may give it to everybody; the service does not, nor does the agent let it.
        """
        return f"{_octal(mode) & (0o3755 | _octal(self._settings.mode)):04o}"

    def prior(self, key: Key, state: State) -> State | None:
        # What bears the mark is being closed, whosesoever it is yet.
        if not state["present"] or state["uid"] == 0 or closed_home(_octal(state["mode"])):
            return None
        own = [entry[-3:] for entry in _entries(state["acl"]) if entry.startswith("g::")]
        mode = _octal(state["mode"])
        mode = mode & ~0o070 | _value(own[0]) << 3 if own else mode
        return {"uid": state["uid"], "mode": f"{mode:04o}"}

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        found: dict[Key, State | Fault] = {}
        for key in keys:
            path = self._path(key)
            try:
                seen = self._site.host.observe(
                    self._settings.root, path, mounted=self._settings.mounted
                )
            except Fault as fault:
                found[key] = fault
                continue
            except OSError as error:
                found[key] = _failed(f"{key}: {self._settings.root / path}", error)
                continue
            found[key] = {
                "present": seen.present,
                "path": str(self._settings.root / path),
                "kind": seen.kind,
                "uid": seen.uid,
                "gid": seen.gid,
                "mode": f"{seen.mode:04o}",
                "acl": seen.acl,
                "above": seen.above,
            }
        return found

    def _path(self, key: Key) -> str:
        return self._site.render(self._settings.path, {"name": split_key(key)[2]})

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if not state["present"]:
            if want["closed"]:
                return ()
            _check_above(key, state)
            return [self._make(key, want, state)]
        if state["kind"] != "directory":
            raise Conflict(
                f"{key}: {state['path']} is a {state['kind']}", advice="look who put it there"
            )
        # Root's is what is closed, or half way there: it belongs to whom it was taken from.
        belongs = state["uid"] or want["belonged"] or 0
        if not want["present"] and cast(int, belongs) < self._settings.min_id:
            return ()
        if want["present"] and belongs != want["uid"] and not want.get("adopt"):
            raise Conflict(f"{key}: {state['path']} belongs to {belongs}, wanted for {want['uid']}")
        changes = []
        # The owner comes before the mode. Closing, nobody but root can then open it again; opening,
        # it lets in nobody until it is its user's. The group stays: root's would be let in by the
        # mode that is still there.
        closed = want["closed"]
        uid, gid = (0, state["gid"]) if closed else (want["uid"], want["gid"])
        if (state["uid"], state["gid"]) != (uid, gid):
            text = f"owner {state['uid']}:{state['gid']} -> {uid}:{gid}"
            changes.append(Change(key, "set-owner", text, 2, key, {"uid": uid, "gid": gid}))
        # With an ACL, the group's permission bits are its mask, and a chmod sets that.
        mode = f"{_octal(want['mode']) | _mask(want['acl']) << 3:04o}"
        if _octal(mode) != _octal(state["mode"]):
            text = f"mode {state['mode']} -> {mode}"
            changes.append(Change(key, "set-mode", text, 4, key, {"mode": mode}))
        if want["acl"] is not None and _entries(want["acl"]) != _entries(state["acl"]):
            text = f"ACL {state['acl'] or 'none'} -> {want['acl'] or 'none'}"
            changes.append(Change(key, "set-acl", text, 3, key, {"acl": want["acl"]}))
        if changes and not closed:
            _check_above(key, state)
        return changes

    def _make(self, key: Key, want: Want, state: State) -> Change:
        data = {name: want[name] for name in ("uid", "gid", "mode")}
        text = f"make {state['path']} for {want['uid']}:{want['gid']}, mode {want['mode']}"
        return Change(key, "make", text, 1, key, data)

    def apply(self, changes: Sequence[Change]) -> None:
        host, root = self._site.host, self._settings.root
        for change in changes:
            path, data = self._path(change.key), cast(Mapping[str, Any], change.data)
            try:
                if change.verb == "make":
                    host.make(
                        root,
                        path,
                        uid=int(data["uid"]),
                        gid=int(data["gid"]),
                        mode=_octal(data["mode"]),
                        skeleton=self._skeleton,
                        mounted=self._settings.mounted,
                    )
                elif change.verb == "set-owner":
                    host.set_owner(root, path, uid=int(data["uid"]), gid=int(data["gid"]))
                elif change.verb == "set-mode":
                    host.set_mode(root, path, mode=_octal(data["mode"]))
                else:
                    host.set_acl(root, path, acl=str(data["acl"]))
            except OSError as error:
                raise _failed(f"{change.key}: {change.text}", error) from None

    def inventory(self) -> Iterable[tuple[Key, State]]:
        keys = []
        root, mounted = self._settings.root, self._settings.mounted
        for name in self._site.host.children(root, mounted=mounted):
            try:
                key = make_key(self._site.instance, "home", name)
            except InvalidRequest:
                continue
            if self._path(key) == name:
                keys.append(key)
        for key, state in self.observe(keys).items():
            # What belongs to the system, such as lost+found, is nobody's home.
            if not isinstance(state, Fault) and cast(int, state["uid"]) >= self._settings.min_id:
                yield key, state

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {"path": str(state["path"])}

    def check(self) -> Sequence[Finding]:
        root = self._settings.root
        try:
            self._site.host.children(root, mounted=self._settings.mounted)
        except Fault as fault:
            return [Finding(Level.ERROR, "homes", fault.message, fault.advice)]
        except OSError as error:
            advice = f"mkdir {root}, owned by root, mode 0755"
            return [Finding(Level.ERROR, "homes", f"{root}: {error}", advice)]
        try:
            mode = root.stat().st_mode
        except OSError:  # it may be out of sight, or on an agent's host alone
            mode = 0
        if mode & 0o022:
            advice = f"chmod go-w {root}"
            return [Finding(Level.ERROR, "homes", f"{root}: others may write to it", advice)]
        return [Finding(Level.OK, "homes", f"{root} is there")]


def _failed(what: str, error: OSError) -> Fault:
    """Judge what the kernel said: a full or ailing file system may be well again later."""
    kind = Transient if error.errno in _AGAIN else Permanent
    return kind(f"{what}: {error.strerror}")


def _check_above(key: Key, state: State) -> None:
    """Refuse to make or to give a home that others than admins could exchange (docs/adr/0019)."""
    if state.get("above"):
        raise Permanent(
            f"{key}: {state['above']}: who is no admin could exchange what lies below it, and no "
            "home is made or given there",
            advice="mend that, then `provisioner retry`; to suspend works wherever a home lies",
        )


def _octal(value: object) -> int:
    return int(str(value), 8)


def _entries(acl: object) -> set[str]:
    return {entry.strip() for entry in str(acl or "").split(",") if entry.strip()}


def _whole(acl: str, mode: object) -> str:
    """Add to an ACL what it says of the owning group and of others: that is the mode's."""
    entries = sorted(_entries(acl))
    group, other = _letters(_octal(mode) >> 3), _letters(_octal(mode))
    if any(not entry.startswith("d:") for entry in entries):
        entries.append(f"g::{group}")
    if any(entry.startswith("d:") for entry in entries):
        entries += [f"d:g::{group}", f"d:o::{other}"]
    return ",".join(entries)


def _letters(bits: int) -> str:
    return "".join(letter if bits & bit else "-" for letter, bit in _BITS)


def _mask(acl: object) -> int:
    """Give the bits that any entry of an ACL gives, but for a default ACL's."""
    bits = 0
    for entry in _entries(acl):
        bits |= 0 if entry.startswith("d:") else _value(entry[-3:])
    return bits


def _value(letters: str) -> int:
    return sum(bit for letter, bit in _BITS if letter in letters)


def build(site: Site, settings: Mapping[str, object]) -> HomeDirectory:
    """Build the handler of one root; raises ConfigError naming the setting."""
    return HomeDirectory(site, read_settings(Settings, settings))
