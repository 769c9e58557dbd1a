"""A gate: ready once a user or group resolves on this host with the expected id, and that id
resolves to nobody else.

Promises: asks, writes nothing, and lets nothing behind it begin before the answer is right. Leaves
out: making accounts; waking caches, but for one configured command; who has an id that the host
gives to the asked name first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    InvalidRequest,
    Key,
    LateId,
    Level,
    Name,
    NotReady,
    Permanent,
    Scalar,
    Site,
    State,
    Unavailable,
    Want,
    make_key,
    read_params,
    read_settings,
    split_key,
)

_LARGEST = 2**32 - 2
"""Largest id; one more stands for none (chown(2))."""


class Settings(BaseModel):
    """How names are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passwd: tuple[str, ...] = Field(
        ("getent", "passwd"),
        description="program that prints passwd lines of the names and the numbers it is given",
    )
    group: tuple[str, ...] = Field(("getent", "group"), description="the same for groups")
    flush: tuple[str, ...] = Field(
        (), description="run with the name after a failed lookup", examples=[["sss_cache", "-u"]]
    )
    timeout: float = Field(30.0, gt=0, description="seconds for one call")
    lane: str = Field("nss", description="lane")


class Params(BaseModel):
    """A name that has to resolve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Name | None = Field(None, description="a user's name")
    group: Name | None = Field(None, description="or a group's")
    uid: LateId | None = Field(None, description="the id that the user must have; beside `user`")
    gid: LateId | None = Field(None, description="the id that the group must have; beside `group`")


class NssGate:
    """The handler of one way to ask."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane
        self._site = site
        self._settings = settings

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        asked = read_params(Params, params)
        if (asked.user is None) == (asked.group is None):
            raise InvalidRequest("either a user or a group", field="user")
        kind, name = ("user", asked.user) if asked.user else ("group", asked.group)
        own, other = ("uid", "gid") if asked.user else ("gid", "uid")
        numbers = {"uid": asked.uid, "gid": asked.gid}
        if numbers[other] is not None:
            raise InvalidRequest(
                f"{other} says nothing of a {kind}",
                field=other,
                expected="uid beside user, gid beside group",
            )
        number = numbers[own]
        if isinstance(number, int) and not 0 <= number <= _LARGEST:
            raise InvalidRequest(f"{number} is no id", field=own, expected=f"0 to {_LARGEST}")
        want = {"present": True, "id": cast(Any, number)}
        return {make_key(self._site.instance, kind, str(name)): want}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        numbers = {claim.want["id"] for claim in live if claim.want.get("id") is not None}
        if len(numbers) > 1:
            raise Conflict(f"{key}: two claims expect ids {sorted(map(str, numbers))}")
        return {"present": bool(live), "id": cast(Any, next(iter(numbers), None))}

    def prior(self, key: Key, state: State) -> State | None:
        return None

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        found: dict[Key, State | Fault] = {}
        for kind, argv in (("user", self._settings.passwd), ("group", self._settings.group)):
            names = {split_key(key)[2]: key for key in keys if split_key(key)[1] == kind}
            if names:
                lines = self._ask(argv, sorted(names))
                seen = {name: _state(kind, name, lines.get(name)) for name in names}
                bearers = self._bearers(argv, {one["id"] for one in seen.values() if "id" in one})
                found |= {
                    key: {**seen[name], "bearer": bearers.get(seen[name].get("id"))}
                    for name, key in names.items()
                }
        return found

    def _bearers(self, argv: Sequence[str], numbers: Collection[Any]) -> dict[Any, str]:
        """Say whom each number resolves to; getent(1) takes a key of digits for a number."""
        if not numbers:
            return {}
        lines = self._lines(argv, sorted(map(str, numbers)))
        return {int(line[2]): name for name, line in lines.items() if _numbered(line)}

    def _ask(self, argv: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
        """Ask for names, and have those flushed that were not found."""
        lines = self._lines(argv, names)
        for name in names:
            if name not in lines and self._settings.flush:
                self._site.run([*self._settings.flush, name], timeout=self._settings.timeout)
        return lines

    def _lines(self, argv: Sequence[str], keys: Sequence[str]) -> dict[str, list[str]]:
        """Ask for keys; getent(1) ends with 2 when one of them was not found."""
        done = self._site.run([*argv, *keys], timeout=self._settings.timeout)
        if done.timed_out or done.returncode not in (0, 2):
            why = "no answer in time" if done.timed_out else done.stderr.strip()
            raise Unavailable(f"{' '.join(argv)} ended with {done.returncode}: {why}")
        return {
            line.split(":")[0]: line.split(":") for line in done.stdout.splitlines() if ":" in line
        }

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if not want["present"]:
            return ()
        if not state["present"]:
            raise NotReady(
                f"{key}: does not resolve on this host yet",
                advice="see that NSS asks the directory the account is in (nsswitch.conf, sssd)",
            )
        if want["id"] is not None and state["id"] != want["id"]:
            raise Conflict(
                f"{key}: resolves to id {state['id']}, expected {want['id']}",
                advice="another account has this name, or NSS maps ids",
            )
        name, bearer = str(state["name"]), state.get("bearer")
        if isinstance(bearer, str) and bearer.lower() != name.lower():
            raise Conflict(
                f"{key}: resolves to id {state['id']}, and id {state['id']} to {bearer}: the two "
                "would own each other's files",
                advice="have one of them given another number where that account is kept "
                "(nsswitch.conf says in which order), then `provisioner retry`",
            )
        return ()

    def apply(self, changes: Sequence[Change]) -> None:
        raise Permanent("a gate writes nothing")

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {
            name: cast(Scalar, state.get(name)) for name in ("name", "id", "gid", "home", "shell")
        }

    def check(self) -> Sequence[Finding]:
        try:
            self._ask(self._settings.passwd, ["root"])
        except Fault as fault:
            return [Finding(Level.ERROR, "names", fault.message, "see `passwd` in the settings")]
        return [Finding(Level.OK, "names", f"{' '.join(self._settings.passwd)} answers")]


def _state(kind: str, name: str, line: list[str] | None) -> State:
    if line is None or not _numbered(line):
        return {"present": False, "name": name}
    state: dict[str, Any] = {"present": True, "name": name, "id": int(line[2])}
    if kind == "user" and len(line) >= 7:
        state |= {"gid": int(line[3]), "home": line[5], "shell": line[6]}
    return state


def _numbered(line: Sequence[str]) -> bool:
    return len(line) >= 3 and line[2].isascii() and line[2].isdigit()


def build(site: Site, settings: Mapping[str, object]) -> NssGate:
    """Build a gate; raises ConfigError naming the setting."""
    return NssGate(site, read_settings(Settings, settings))
