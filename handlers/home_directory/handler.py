"""Home directories: the handler makes them complete, sets owners, closes and opens them, and never
removes one.

Promises: a new home appears with its skeleton or not at all; an existing home keeps every file.
Leaves out: whose a home is and when it is closed (`plan`), how the host writes
(`provisioner.system.directories`), automounters, and setting quotas.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

from handlers.home_directory.permissions import octal
from handlers.home_directory.plan import kept, merge, plan, saved
from handlers.home_directory.settings import Params, Settings
from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Finding,
    Home,
    InvalidRequest,
    Key,
    KnownAfter,
    Level,
    Owner,
    Permanent,
    Scalar,
    Site,
    State,
    Transient,
    Unavailable,
    Want,
    make_key,
    read_params,
    read_settings,
    split_key,
    together,
)

_AGAIN = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}


class HomeDirectory:
    """The handler of one root."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane or f"homes:{settings.root}"
        self._site = site
        self._settings = settings
        self._skeleton = site.template(settings.skeleton) if settings.skeleton else None

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        parsed = read_params(Params, params)
        together(
            lambda: self._check_id("uid", parsed.uid, "min_id"),
            lambda: self._check_id("gid", parsed.gid, "min_gid"),
        )
        want = {
            "present": True,
            "uid": cast(Any, parsed.uid),
            "gid": cast(Any, parsed.gid),
            "mode": parsed.mode,
            "adopt": parsed.adopt,
        }
        place = self._known_as(parsed.name)
        if parsed.home is not None and PurePosixPath(parsed.home) != place:
            raise InvalidRequest(
                f"{parsed.home!r} is not the path of the home of {parsed.name} here",
                field="home",
                expected=f"{place}, or no `home`; or a route that gives its home step no `home`",
            )
        named = parsed.account_home
        if isinstance(named, str) and named and PurePosixPath(named) != place:
            raise InvalidRequest(
                f"{parsed.name} would log in to {named!r}, but their home is made in {place}",
                field="account_home",
                expected=f"{place} in the account and in what resolves; or set `path` and "
                f"`known_as` of {self._site.instance} to what accounts have; then `provisioner "
                "retry`",
            )
        return {make_key(self._site.instance, "home", parsed.name): want}

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Return where a home is made; None if no account names it, as on a scratch disk."""
        if "account_home" not in params:
            return None
        name = read_params(Params, params).name
        return Home(name, str(self._known_as(name)), made=True)

    def _known_as(self, name: str) -> PurePosixPath:
        """Return a home's path, as accounts have it."""
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
        return merge(self._settings, key, claims, prior)

    def prior(self, key: Key, state: State) -> State | None:
        return saved(state)

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want that opens a home with its former mode, and its group and ACL as they
        are."""
        own = {"gid": state["gid"], "mode": kept(self._settings, prior), "acl": state["acl"]}
        return {**want, **own} if prior.get("uid") == want["uid"] else want

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Read homes one by one. Raises Unavailable if their root cannot be listed either."""
        results: dict[Key, State | Fault] = {}
        listed = False
        for key in keys:
            seen = results[key] = self._observe(key)
            if isinstance(seen, Unavailable) and not listed:
                # A single home may be a mount of its own that does not answer.
                self._list(seen)
                listed = True
        return results

    def _observe(self, key: Key) -> State | Fault:
        root, path = self._settings.root, self._path(key)
        try:
            seen = self._site.host.observe(root, path, mounted=self._settings.mounted)
        except Fault as fault:
            return fault
        except OSError as error:
            return _failed(f"{key}: {root / path}", error)
        return {
            "present": seen.present,
            "path": str(root / path),
            "kind": seen.kind,
            "uid": seen.uid,
            "gid": seen.gid,
            "mode": f"{seen.mode:04o}",
            "acl": seen.acl,
            "above": seen.above,
        }

    def _list(self, why: Unavailable) -> None:
        try:
            self._site.host.children(self._settings.root, mounted=self._settings.mounted)
        except OSError:
            raise why from None

    def _path(self, key: Key) -> str:
        return self._site.render(self._settings.path, {"name": split_key(key)[2]})

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        return plan(self._settings, key, want, state)

    def apply(self, changes: Sequence[Change]) -> None:
        host, root = self._site.host, self._settings.root
        for change in changes:
            path, data = self._path(change.key), cast(Mapping[str, Any], change.data)
            try:
                if change.verb == "make":
                    host.make(
                        root,
                        path,
                        owner=_owner(data),
                        mode=octal(data["mode"]),
                        skeleton=self._skeleton,
                        mounted=self._settings.mounted,
                    )
                elif change.verb == "set-owner":
                    host.set_owner(root, path, owner=_owner(data))
                elif change.verb == "set-mode":
                    host.set_mode(root, path, mode=octal(data["mode"]))
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
            # A directory of the system, such as lost+found, is nobody's home.
            if not isinstance(state, Fault) and cast(int, state["uid"]) >= self._settings.min_id:
                yield key, state

    def counted_by(self) -> str:
        """Return the file system that has the quotas of the homes' users."""
        return self._settings.quotas

    def owner(self, key: Key, state: State) -> int | None:
        """Return whose an open home is."""
        uid = cast(int, state["uid"])
        return uid if state["present"] and uid >= self._settings.min_id else None

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {"path": str(state["path"])}

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the command that deletes a home, and nothing that is mounted in it."""
        return [["rm", "-rf", "--one-file-system", "--", str(state["path"])]]

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
        except OSError:  # it may be invisible here, or on an agent's host only
            mode = 0
        if mode & 0o022:
            advice = f"chmod go-w {root}"
            return [Finding(Level.ERROR, "homes", f"{root}: others may write to it", advice)]
        return [Finding(Level.OK, "homes", f"{root} exists")]


def _owner(data: Mapping[str, Any]) -> Owner:
    return Owner(int(data["uid"]), int(data["gid"]))


def _failed(what: str, error: OSError) -> Fault:
    """Return the fault for an error of the kernel: a full or failing file system may recover."""
    kind = Transient if error.errno in _AGAIN else Permanent
    return kind(f"{what}: {error.strerror}")


def build(site: Site, settings: Mapping[str, object]) -> HomeDirectory:
    """Build the handler of one root. Raises ConfigError that names the wrong setting."""
    return HomeDirectory(site, read_settings(Settings, settings))
