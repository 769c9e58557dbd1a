"""A gate: it opens once a user or group resolves on this host with the expected id, and that id
resolves to nobody else.

Promises: the gate only asks and writes nothing; no step that needs it begins before the answer is
right. A name that the host is slow to look up delays other names, but does not block them. Leaves
out: making accounts; refreshing caches, except by one configured command; a second owner of an id
when the host gives the id to the expected name first.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
"""Largest id; the next number means "no id" (chown(2))."""

_AT_ONCE = 2000
"""The most names in one call."""

_FEWER = 8
"""Parts into which the service divides a call that took too long: four more rounds of calls find
one slow name among 2,000."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of passwd or group by name, and the keys whose lookup got no answer in time."""

    by_name: Mapping[str, Sequence[str]]
    unanswered: frozenset[str] = frozenset()


MOMENT = 0.25
"""Seconds after its question for which an early answer serves: recording takes a hundredth."""

States = Mapping[Key, State | Fault]

Ask = Callable[[Sequence[str], Sequence[str]], Lines]


class Settings(BaseModel):
    """How the gate looks up names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passwd: tuple[str, ...] = Field(
        ("getent", "passwd"),
        description="program that prints the passwd lines for given names and numbers",
    )
    group: tuple[str, ...] = Field(("getent", "group"), description="the same for groups")
    flush: tuple[str, ...] = Field(
        (),
        description="program to run with the name after a failed lookup",
        examples=[["sss_cache", "-u"]],
    )
    timeout: float = Field(
        30.0,
        gt=0,
        description="seconds for one call; after a timeout the next calls have fewer names",
    )
    lane: str = Field("nss", description="lane")


class Params(BaseModel):
    """A name that must resolve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Name | None = Field(None, description="a user's name")
    group: Name | None = Field(None, description="or a group's name")
    uid: LateId | None = Field(None, description="the id that the user must have; beside `user`")
    gid: LateId | None = Field(None, description="the id that the group must have; beside `group`")


class Early:
    """States that were read before they were wanted, while a step is recorded; for any thread.

    A state is handed out once, within a moment of its question, and only of what resolves: anything
    else is asked for again. One question is on its way at a time; what should be asked again
    meanwhile is not handed out, as it may have changed.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._asked: frozenset[Key] = frozenset()
        self._at = 0.0
        self._open = False
        self._seen: States = {}

    def ask(self, keys: Collection[Key], look: Callable[[], States]) -> None:
        """Look in a thread of its own, unless one looks already. What it raises is not told."""
        with self._turn:
            if self._open:
                self._asked -= set(keys)
                return
            self._asked, self._at, self._seen = frozenset(keys), time.monotonic(), {}
            try:
                threading.Thread(target=self._run, args=[look], daemon=True).start()
            except RuntimeError:  # a host without a thread left
                return
            self._open = True

    def take(self, keys: Collection[Key]) -> dict[Key, State]:
        """Return states of some objects, and forget them; what is being asked is waited for."""
        with self._turn:
            if self._asked.isdisjoint(keys):
                return {}
            until = self._at + MOMENT
            self._turn.wait_for(lambda: not self._open, max(0.0, until - time.monotonic()))
            wanted = self._asked.intersection(keys)
            seen, self._asked, self._seen = self._seen, frozenset(), {}
            if time.monotonic() > until:
                return {}
        return {
            key: state
            for key, state in seen.items()
            if key in wanted and not isinstance(state, Fault) and state["present"]
        }

    def _run(self, look: Callable[[], States]) -> None:
        seen: States = {}
        with contextlib.suppress(Exception):  # whoever wants it asks again, and hears that
            seen = look()
        with self._turn:
            self._seen, self._open = seen, False
            self._turn.notify_all()


class NssGate:
    """The handler of one way to look up names."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane
        self._site = site
        self._settings = settings
        self._at_once = _AT_ONCE
        self._flushed = ""
        self._early = Early()

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        parsed = read_params(Params, params)
        if (parsed.user is None) == (parsed.group is None):
            raise InvalidRequest("give either a user or a group", field="user")
        kind, name = ("user", parsed.user) if parsed.user else ("group", parsed.group)
        own, other = ("uid", "gid") if parsed.user else ("gid", "uid")
        numbers = {"uid": parsed.uid, "gid": parsed.gid}
        if numbers[other] is not None:
            raise InvalidRequest(
                f"{other} does not apply to a {kind}",
                field=other,
                expected="uid beside user, gid beside group",
            )
        number = numbers[own]
        if isinstance(number, int) and not 0 <= number <= _LARGEST:
            raise InvalidRequest(f"{number} is not an id", field=own, expected=f"0 to {_LARGEST}")
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

    def look_ahead(self, keys: Collection[Key]) -> None:
        """Look up names that were just made; the command that refreshes caches is not run."""
        self._early.ask(keys, lambda: self._looked(keys, self._lines))

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        known = self._early.take(keys)
        left = [key for key in keys if key not in known]
        return {**known, **(self._looked(left, self._ask) if left else {})}

    def _looked(self, keys: Collection[Key], ask: Ask) -> Mapping[Key, State | Fault]:
        """Look names up. ask: returns the lines of names."""
        states: dict[Key, State | Fault] = {}
        for kind, argv in (("user", self._settings.passwd), ("group", self._settings.group)):
            names = {split_key(key)[2]: key for key in keys if split_key(key)[1] == kind}
            if names:
                lines = ask(argv, sorted(names))
                faults = {
                    names[name]: _unreadable(argv, line)
                    for name, line in lines.by_name.items()
                    if kind == "user" and name in names and not _has_group(line)
                }
                states |= faults
                names = {name: key for name, key in names.items() if key not in faults}
                seen = {name: _state(kind, name, lines.by_name.get(name)) for name in names}
                # getent(1) reads digits as a number, and prints the name that it resolves to.
                numbers = {str(state["id"]) for state in seen.values() if "id" in state}
                bearers = self._lines(argv, sorted(numbers))
                by_number = {line[2]: of for of, line in bearers.by_name.items() if _numbered(line)}
                unanswered = lines.unanswered | bearers.unanswered
                for name, key in names.items():
                    number = str(seen[name].get("id"))
                    hangs = next((one for one in (name, number) if one in unanswered), None)
                    states[key] = (
                        {**seen[name], "bearer": by_number.get(number)}
                        if hangs is None
                        else self._unanswered(argv, hangs)
                    )
        return states

    def _unanswered(self, argv: Sequence[str], name: str) -> Fault:
        return NotReady(
            f"the lookup of {name} got no answer within {self._settings.timeout:g} s",
            advice=f"on this host, run: {' '.join(argv)} {name}; check NSS (nsswitch.conf, sssd)",
        )

    def _ask(self, argv: Sequence[str], names: Sequence[str]) -> Lines:
        """Look up names, and flush those that were not found, as far as time allows."""
        lines = self._lines(argv, names)
        if self._settings.flush:
            deadline = time.monotonic() + self._settings.timeout
            missing = [name for name in names if name not in lines.by_name]
            # Start behind the name that was flushed last, so that each gets its turn.
            for name in sorted(missing, key=lambda name: (name <= self._flushed, name)):
                self._site.run([*self._settings.flush, name], timeout=self._settings.timeout)
                self._flushed = name
                if time.monotonic() > deadline:
                    break
        return lines

    def _lines(self, argv: Sequence[str], keys: Sequence[str]) -> Lines:
        """Look up keys, with fewer in a call after a timeout.

        Leaves out a key that gets no answer even alone. Raises Unavailable after two such keys in a
        row.
        """
        by_name: dict[str, Sequence[str]] = {}
        unanswered: list[str] = []
        waiting, in_a_row = list(keys), 0
        while waiting:
            portion, rest = waiting[: self._at_once], waiting[self._at_once :]
            begun = time.monotonic()
            lines = self._call(argv, portion)
            if lines is None and len(portion) > 1:
                self._at_once = max(1, len(portion) // _FEWER)
                continue
            waiting = rest
            if lines is None:
                unanswered, in_a_row = [*unanswered, *portion], in_a_row + 1
                if in_a_row > 1 or not (by_name or waiting):
                    raise Unavailable(f"{' '.join(argv)}: no answer in time")
                continue
            by_name, in_a_row = by_name | lines, 0
            if time.monotonic() - begun < self._settings.timeout / 4:
                self._at_once = min(_AT_ONCE, self._at_once * 2)
        return Lines(by_name, frozenset(unanswered))

    def _call(self, argv: Sequence[str], keys: Sequence[str]) -> dict[str, Sequence[str]] | None:
        """Look up keys in one call; return None if there was no answer in time.

        getent(1) exits with 2 when it does not find one of them.
        """
        done = self._site.run([*argv, *keys], timeout=self._settings.timeout)
        if done.timed_out:
            return None
        if done.returncode not in (0, 2):
            raise Unavailable(
                f"{' '.join(argv)} exited with {done.returncode}: {done.stderr.strip()}"
            )
        return {
            line.split(":")[0]: line.split(":") for line in done.stdout.splitlines() if ":" in line
        }

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if not want["present"]:
            return ()
        if not state["present"]:
            raise NotReady(
                f"{key}: does not resolve on this host yet",
                advice="check that NSS asks the directory that has the account (nsswitch.conf, "
                "sssd)",
            )
        if want["id"] is not None and state["id"] != want["id"]:
            raise Conflict(
                f"{key}: resolves to id {state['id']}, not to {want['id']}",
                advice="another account has this name, or NSS maps ids",
            )
        name, bearer = str(state["name"]), state.get("bearer")
        if isinstance(bearer, str) and bearer.lower() != name.lower():
            raise Conflict(
                f"{key}: resolves to id {state['id']}, but id {state['id']} resolves to {bearer}: "
                "the two would own each other's files",
                advice="give one of them another number in the directory that has the account "
                "(nsswitch.conf lists them in order), then `provisioner retry`",
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
        programs = []
        for name in ("passwd", "group"):
            argv = getattr(self._settings, name)
            try:
                self._ask(argv, ["root"])
            except Fault as fault:
                advice = f"check the setting `{name}`"
                return [Finding(Level.ERROR, "names", fault.message, advice)]
            programs.append(" ".join(argv))
        return [Finding(Level.OK, "names", f"{' and '.join(programs)} answer")]


def _state(kind: str, name: str, line: Sequence[str] | None) -> State:
    if line is None or not _numbered(line):
        return {"present": False, "name": name}
    state: dict[str, Any] = {"present": True, "name": name, "id": int(line[2])}
    if kind == "user" and len(line) >= 7:
        state |= {"gid": int(line[3]), "home": line[5], "shell": line[6]}
    return state


def _has_group(line: Sequence[str]) -> bool:
    """Return False for a line of passwd(5) whose group is not a number."""
    return len(line) < 7 or (line[3].isascii() and line[3].isdigit())


def _unreadable(argv: Sequence[str], line: Sequence[str]) -> Fault:
    return NotReady(
        f"{' '.join(argv)} printed {':'.join(line)[:200]!r}: its group is not a number",
        advice="run it on this host; fix the entry in the source that NSS asks (nsswitch.conf)",
    )


def _numbered(line: Sequence[str]) -> bool:
    return len(line) >= 3 and line[2].isascii() and line[2].isdigit()


def build(site: Site, settings: Mapping[str, object]) -> NssGate:
    """Build a gate. Raises ConfigError that names the wrong setting."""
    return NssGate(site, read_settings(Settings, settings))
