"""A site for tests of the engine: real journal, spool, intake and lanes, and a stateful fake."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import finalize

import yaml

from provisioner.config import schema as configuration
from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    InvalidRequest,
    Key,
    KnownAfter,
    NotReady,
    Permanent,
    Scalar,
    State,
    Unavailable,
    Want,
    ask_leave,
    make_key,
    split_key,
)
from provisioner.convergence.lanes import Lane
from provisioner.journal.records import request_rows
from provisioner.objects.states import OPEN
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.wiring import System
from tests.support import databases


class Killed(BaseException):
    """The service dies: nothing catches this."""


@dataclass
class Backend:
    """The contents of a backend: accounts, and who is in them with which limit. Outlives its
    handlers."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[list[Change]] = field(default_factory=list)
    prepared: list[list[Key]] = field(default_factory=list)
    ahead: list[list[Key]] = field(default_factory=list)
    questions: int = 0
    away: bool = False
    lane: str = ""
    unread: set[str] = field(default_factory=set)
    broken: bool = False
    missing: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    only_asked: bool = False
    foreign: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    dies_after: int | None = None


class Accounts:
    """A handler of `account/NAME` and `member/ACCOUNT/USER`, with the shape of Slurm's."""

    def __init__(self, instance: str, backend: Backend) -> None:
        self.lane = backend.lane or instance
        self._instance = instance
        self.backend = backend

    def prepare(self, keys: Collection[Key]) -> None:
        self.backend.prepared.append(sorted(keys))

    def look_ahead(self, keys: Collection[Key]) -> None:
        self.backend.ahead.append(sorted(keys))

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        for name in ("account", "user"):
            value = params.get(name)
            if value is not None and not re.fullmatch(r"[a-z][a-z0-9]*", str(value)):
                raise InvalidRequest(f"{value!r} is no {name}", field=name)
        limit = params.get("limit")
        shown: Any = limit if limit is None or isinstance(limit, KnownAfter) else str(limit)
        want = {"present": True, "limit": shown}
        if "user" in params:
            return {
                make_key(
                    self._instance, "member", str(params["account"]), str(params["user"])
                ): want
            }
        return {make_key(self._instance, "account", str(params["account"])): want}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        limits = [claim.want["limit"] for claim in live if claim.want.get("limit") is not None]
        limit = max(map(str, limits)) if limits else (prior or {}).get("limit")
        return {"present": bool(claims), "closed": bool(claims) and not live, "limit": limit}

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True for a limit of 1, or of less than a tenth: nobody can work with it."""
        was, will = before["limit"], after["limit"]
        if was is None or will is None:
            return bool(will == "1")
        return bool(will == "1" != was) or int(str(will)) * 10 < int(str(was))

    def stores(self, key: Key) -> bool:
        """Return True for accounts named as filesets, which hold data."""
        return split_key(key)[1:] == ("account", "data")

    def prior(self, key: Key, state: State) -> State | None:
        return {"limit": state["limit"]} if state["present"] else None

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want of the saved limit alone."""
        return {**want, "limit": prior["limit"]}

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        self.backend.questions += 1
        if self.backend.away:
            raise Unavailable("the backend is away")
        return {
            key: self.backend.rows.get(key) or {"present": False}
            if split_key(key)[-1] not in self.backend.unread
            else Unavailable(f"{key} cannot be read")
            for key in keys
        }

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if split_key(key)[-1] in self.backend.missing:
            raise NotReady(f"{key} is not ready")
        if want["present"] and not want["closed"] and split_key(key)[-1] in self.backend.late:
            raise NotReady(f"{key} cannot be made yet")
        if want["present"] and split_key(key)[-1] in self.backend.foreign:
            raise Conflict(f"{key} is another's")
        if not want["present"] and self.backend.only_asked:
            return ()
        if not want["present"]:
            return [Change(key, "remove", f"remove {key}", 2, "remove")] if state["present"] else ()
        if not state["present"] and want["closed"]:
            return ()
        limit = "0" if want["closed"] else want["limit"]
        if not state["present"]:
            return [Change(key, "add", f"add {key}", 0, "add", {"limit": limit})]
        if limit is not None and state["limit"] != limit:
            return [Change(key, "set", f"limit {limit}", 1, f"set {limit}", {"limit": limit})]
        return ()

    def apply(self, changes: Sequence[Change]) -> None:
        if self.backend.dies_after == len(self.backend.calls):
            self.backend.dies_after = None
            raise Killed
        self.backend.calls.append(list(changes))
        if any(split_key(change.key)[-1] in self.backend.poison for change in changes):
            raise Permanent("poisoned")
        for change in changes:
            ask_leave()
            if change.verb == "remove":
                self.backend.rows.pop(change.key)
            else:
                self.backend.rows[change.key] = {"present": True, "limit": change.data["limit"]}

    def inventory(self) -> Iterable[tuple[Key, State]]:
        if self.backend.broken:
            raise RuntimeError("broken")
        return list(self.backend.rows.items())

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {"limit": str(state["limit"])}

    def check(self) -> Sequence[Finding]:
        return ()


CONFIG = """\
service: test
spool: spool
journal: journal.db
handlers: {first: {use: accounts}, second: {use: accounts}}
lanes:
  first: {first: 0.01, most: 0.02, tries: 3}
  second: {first: 0.01, most: 0.02, tries: 3}
resources: {one: {handlers: [first]}, two: {handlers: [second]}}
routes:
  user.provision:
    - {name: early, handler: first, with: {account: "{{ user.name }}", limit: "{{ user.uid }}"}}
    - name: late
      handler: second
      with: {account: "{{ user.name }}", limit: "{{ steps.early.output.limit }}"}
  allocation.provision:
    - name: account
      handler: accounts
      with: {account: "{{ project.code }}", limit: "{{ allocation.quota.files }}"}
    - name: members
      handler: accounts
      each: user
      needs: [account]
      with: {account: "{{ project.code }}", user: "{{ user }}"}
  membership.add:
    - name: members
      handler: accounts
      each: user
      with: {account: "{{ project.code }}", user: "{{ user }}"}
  project.provision: []
"""


class Site:
    """A site whose service can be killed and started again; the backends live on."""

    def __init__(self, root: Path, more: str = "", text: str = CONFIG) -> None:
        """text: the configuration; more: what else it says."""
        self.root = root
        self.first, self.second = Backend(), Backend()
        self.configure(text + more)
        Spool.create(self.config.spool).close()
        self.start()

    def configure(self, text: str) -> None:
        """Write the configuration of the next start."""
        path = self.root / "provisioner.yaml"
        path.write_text(databases.placed(text, self.root))
        self.config = configuration.load(path)

    @property
    def file(self) -> Path:
        """The file that is the journal, in SQLite."""
        assert isinstance(self.config.journal, Path)
        return self.config.journal

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes, wherever they are drained."""
        return self.service.lanes

    def back(self, backend: Backend) -> None:
        """Let a backend answer again, and let the lanes call it at once."""
        backend.away = False
        for lane in self.lanes.values():
            lane._breakers.until.clear()
            lane.drain()
        self.drain()

    def built(self) -> System:
        """Return what a process of the service has."""
        handlers = {
            "first": Accounts("first", self.first),
            "second": Accounts("second", self.second),
        }
        kinds = dict.fromkeys(handlers, "accounts")
        return System(self.config, handlers, kinds, Router(self.config, handlers, kinds))

    def start(self) -> None:
        """Start the service, as after a crash: only disk and backends are unchanged."""
        self.system = self.built()
        self.spool = Spool.open(self.config.spool)
        finalize(self, self.spool.close)
        finalize(self, self.system.journal.close)
        self.service = Service(self.system, self.spool)
        self.service.recover()

    def drop(self, text: str, name: str = "r.yaml") -> None:
        """Drop a request and let the intake take it."""
        drop(self.spool.staging, name, text.encode())
        self.take()

    def take(self) -> None:
        """Let the intake take the files in staging, and the clerk put files in their places."""
        while self.service.take():
            self.catch_up()

    def catch_up(self) -> None:
        """Let the clerk put files in their places."""
        self.service.clerk.catch_up()

    def die(self) -> None:
        """End the service as the kernel does: descriptors are closed, and nothing else is."""
        self.spool.close()
        self.system.journal.close()

    def drain(self, *lanes: str, rounds: int = 40) -> None:
        """Drain lanes until nothing is due soon."""
        chosen = lanes or tuple(self.lanes)
        for _ in range(rounds):
            if not sum(self.lanes[name].drain() for name in chosen):
                here = [self.lanes[name] for name in chosen]
                rests = [lane.rest() for lane in here if not lane.away]
                soon = [rest for rest in rests if rest is not None and rest < 0.1]
                if not soon:
                    break
                time.sleep(max(soon))
        self.catch_up()

    def request(self, text: str, name: str = "r.yaml") -> None:
        """Drop a request and drain."""
        self.drop(text, name)
        self.drain()

    def states(self) -> dict[str, list[str]]:
        """List the request files of each place, by the names that their writers gave."""
        return {
            place: sorted(
                path.name.split("-", 1)[-1]
                for path in (self.config.spool / place).iterdir()
                if not path.name.endswith(".result.yaml")
            )
            for place in ("done", "failed")
        }

    def results(self, place: str) -> list[dict[str, Any]]:
        """Load the results in a place, oldest first."""
        found = sorted((self.config.spool / place).glob("*.result.yaml"))
        return [yaml.safe_load(path.read_text()) for path in found]

    def open(self) -> list[request_rows.Record]:
        """List requests without an outcome."""
        with self.system.journal.reading() as conn:
            return request_rows.in_states(conn, OPEN)

    def limit(self, key: Key, backend: str = "first") -> Any:
        """Return the limit of an object in a backend; None if the object does not exist."""
        rows = self.first.rows if backend == "first" else self.second.rows
        return rows[key]["limit"] if key in rows else None


def allocation(
    number: int,
    users: str = "",
    *,
    files: int = 5,
    verb: str = "provision",
    head: str = "",
    code: str = "cf",
) -> str:
    """Write an allocation request."""
    body = f"""\
provisioner: 1
action: allocation.{verb}
{head}allocation:
  id: {number}
  resource: one
  project: {{code: {code}}}
"""
    return body + (
        f"  users: [{users}]\n  quota: {{files: {files}}}\n" if verb == "provision" else ""
    )


def user(name: str, verb: str = "provision", *, uid: int | None = None, cause: str = "") -> str:
    """Write a user request."""
    more = f", uid: {uid}" if uid else ""
    head = f"cause: {cause}\n" if cause else ""
    return f"provisioner: 1\naction: user.{verb}\n{head}user: {{name: {name}{more}}}\n"


def membership(number: int, name: str, verb: str) -> str:
    """Write a membership request."""
    return (
        f"provisioner: 1\naction: membership.{verb}\nmembership:\n  user: {name}\n"
        f"  allocation: {{id: {number}, resource: one, project: {{code: cf}}}}\n"
    )


def control(verb: str, name: str) -> str:
    """Write a control request."""
    key = verb.partition(".")[0]
    return f"provisioner: 1\naction: {verb}\n{key}: {name}\n"


def release(seen: request_rows.Record) -> str:
    """Write a release by somebody who looked at a request."""
    return f"{control('request.release', seen.id)}digest: {seen.digest}\n"
