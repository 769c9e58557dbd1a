"""Several hosts that serve one journal: a real process for each, and a backend that they share.

Promises: the backend notes who writes what to it, and has no lock of its own. A host can be killed
after a write that it has not recorded, and be frozen between two calls that write, or within one.
Leaves out: networks (all hosts have one), and PostgreSQL (`clusters`).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from provisioner.cli import sharing
from provisioner.config import schema as configuration
from provisioner.contract import Change, Fault, Key, State, Want, ask_leave
from provisioner.routing.router import Router
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.wiring import System
from tests.support.engine_site import CONFIG, Accounts, Backend, user
from tests.support.waiting import until

LEASE = 1.5
"""Seconds: a host of a busy machine is not taken for a frozen one."""

PACE = 0.004
"""Seconds that a look takes for each object, so that a burst lasts."""

KILL, FREEZE, AMID, FROZEN = "kill", "freeze", "amid", "frozen"


class Shared(Accounts):
    """Accounts in files: what a host of any name sees is the same."""

    def __init__(self, instance: str, top: Path) -> None:
        super().__init__(instance, Backend())
        self._rows = top / instance
        self._rows.mkdir(exist_ok=True)
        self._top = top

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        time.sleep(PACE * len(keys))
        return {key: self._row(key) for key in keys}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Add without a limit, and set that by another call."""
        planned = super().plan(key, want, state)
        if state["present"]:
            return planned
        [add] = planned
        limit = add.data["limit"]
        later = Change(key, "set", f"limit {limit}", 1, f"set {limit}", {"limit": limit})
        return [replace(add, data={"limit": None}), later]

    def apply(self, changes: Sequence[Change]) -> None:
        adding = all(change.verb == "add" for change in changes)
        for change in changes:
            ask_leave()
            there = self._row(change.key)
            again = there["present"] if change.verb == "add" else there["limit"] is not None
            note = {"host": os.uname().nodename, "key": change.key, "verb": change.verb}
            _append(self._top / "writes", json.dumps(note | {"again": again}))
            row = {"present": True, "limit": change.data["limit"]}
            new = self._top / f"{os.getpid()} {threading.get_ident()}"
            new.write_text(json.dumps(row))
            new.rename(self._file(change.key))
            if adding and change is not changes[-1]:
                self._freeze(AMID)
        if _taken(self._top / f"{KILL} {os.uname().nodename}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if adding:
            self._freeze(FREEZE)

    def _freeze(self, when: str) -> None:
        if _taken(self._top / f"{when} {os.uname().nodename}"):
            (self._top / FROZEN).touch()
            # To this thread: by another one the process would stop a moment later, in a call.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def _file(self, key: Key) -> Path:
        return self._rows / key.replace("/", " ")

    def _row(self, key: Key) -> State:
        try:
            row: State = json.loads(self._file(key).read_text())
        except FileNotFoundError:
            return {"present": False}
        return row


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


def _taken(path: Path) -> bool:
    """Return True for one process that asks, if a test has put a file there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


@dataclass
class Hosts:
    """The hosts of one site."""

    top: Path
    address: str
    staging: str = "own"
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = self.configured("spool", self.file)

    def configured(self, spool: str, file: Path) -> configuration.Config:
        """Write a configuration, and make its spool. spool: its directory below the site's."""
        text = CONFIG.replace("journal: journal.db", f"journal: {self.address}")
        text = text.replace("tries: 3}", "tries: 3, batch: 20}")
        text = text.replace("spool: spool", f"spool: {spool}")
        file.write_text(f"{text}roles: {{lease: {LEASE}, staging: {self.staging}}}\n")
        made = configuration.load(file)
        Spool.create(made.spool).close()
        return made

    @property
    def file(self) -> Path:
        """The configuration that all hosts have which have none of their own."""
        return self.top / "provisioner.yaml"

    def own(self, host: str) -> Path:
        """Return the spool of an intake that has one of its own, which is made if it is not
        there."""
        file = self.top / f"{host}.yaml"
        if not file.exists():
            self.configured(f"spool-{host}", file)
        return configuration.load(file).spool

    def start(self, host: str, role: str, *lanes: str) -> subprocess.Popen[bytes]:
        """Start the process of a host. role: intake or lanes."""
        own = self.top / f"{host}.yaml"
        file = own if own.exists() else self.file
        words = [sys.executable, "-m", __name__, str(file), role, *lanes]
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host, *words]
        with self.log(host).open("ab") as said:
            made = self.processes[host] = subprocess.Popen(named, stderr=said)
        return made

    def serve(self, host: str, role: str, *lanes: str) -> subprocess.Popen[bytes]:
        """Start the process of a host, and wait until it serves."""
        made = self.start(host, role, *lanes)
        words = [f"lane {lane} is drained here" for lane in lanes] or ["serves test"]
        until(lambda: all(word in self.said(host) for word in words), f"{host} to serve")
        return made

    def log(self, host: str) -> Path:
        """Return where a host logs."""
        return self.top / f"{host}.log"

    def said(self, host: str) -> str:
        """Return what a host has logged."""
        return self.log(host).read_text()

    def drop(self, number: int) -> None:
        """Drop a burst of requests, one for each person."""
        with closing(Spool.open(self.config.spool)) as spool:
            for person in range(number):
                text = user(f"u{person}", uid=2000 + person)
                drop(spool.staging, f"u{person}.yaml", text.encode())

    def order(self, what: str, host: str) -> None:
        """Have a host die, or freeze, at its next chance."""
        (self.top / f"{what} {host}").touch()

    def results(self, place: str = "done", spool: Path | None = None) -> list[str]:
        """List the people whose requests have a result in a place of a spool."""
        found = ((spool or self.config.spool) / place).glob("*.result.yaml")
        return [file.name.split("-")[1].split(".")[0] for file in found]

    def writes(self) -> list[dict[str, object]]:
        """Return what hosts have written, in order."""
        try:
            lines = (self.top / "writes").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """Stop all that still run."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            process.wait(60)


def main(file: str, role: str, *lanes: str) -> None:
    """Be a host."""
    logging.basicConfig(level=logging.INFO)
    config = configuration.load(Path(file))
    handlers = {name: Shared(name, Path(file).parent) for name in ("first", "second")}
    kinds = dict.fromkeys(handlers, "accounts")
    system = System(config, handlers, kinds, Router(config, handlers, kinds))
    if role == "intake":
        sharing.intake(system)
    else:
        sharing.lanes(system, lanes)


if __name__ == "__main__":
    main(*sys.argv[1:])
