"""A site whose requests need no backend, and its service: the real command line, forked."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from provisioner.spool.submit import drop
from tests.fault.points import Nursery
from tests.support import databases

CONFIG = """\
service: plain
spool: spool
journal: journal/journal.db
handlers: {}
routes: {project.provision: []}
"""
PATIENCE = 300
"""Seconds after which a request is taken for lost; nothing here takes more than some."""


class Plain:
    """A site without backends, and its service."""

    def __init__(self, root: Path, nursery: Nursery) -> None:
        self.root, self._nursery = root, nursery
        self.staging = root / "spool/staging"
        self.dropped = 0
        self._service = 0
        self.configure()

    def configure(self) -> None:
        """Write its configuration."""
        text = databases.placed(CONFIG, self.root)
        (self.root / "provisioner.yaml").write_text(text)

    def start(self, hints: int = 1) -> int:
        """Make the site, and start its service."""
        made = self._nursery.run(self.root, "init")
        assert made.code == 0, made.log
        self._service = self._nursery.start(self.root, "run", hints=hints)
        self.put()
        return self._service

    def kill(self) -> None:
        """Kill the service, if there is one."""
        service, self._service = self._service, 0
        if service:
            os.kill(service, signal.SIGKILL)
            self._nursery.end(service)

    def stop(self) -> str:
        """Stop the service, which must end well; return what it logged."""
        service, self._service = self._service, 0
        os.kill(service, signal.SIGTERM)
        ended = self._nursery.end(service)
        assert ended.code == 0, ended.log
        return ended.log

    def put(self, number: int = 1, directory: Path | None = None) -> None:
        """Drop requests, and wait until all that ever were dropped are accepted."""
        self.drop(number, directory)
        self.wait()

    def drop(self, number: int = 1, directory: Path | None = None) -> None:
        """Drop requests."""
        for _ in range(number):
            self.dropped += 1
            name = f"{self.dropped}.yaml"
            drop(directory or self.staging, name, project(self.dropped))

    def wait(self) -> None:
        """Wait until all that ever were dropped are accepted."""
        deadline = time.monotonic() + PATIENCE
        while (accepted := self.accepted()) != self.dropped:
            assert time.monotonic() < deadline, f"{accepted} of {self.dropped} were accepted"
            time.sleep(0.02)

    def accepted(self) -> int:
        """Count the requests that the journal has."""
        return len(self.states("project.provision"))

    def states(self, action: str) -> list[str]:
        """List the states of the requests for an action."""
        found = databases.ask(self.root, "select state from requests where action = ?", [action])
        return [row[0] for row in found]


def project(number: int) -> bytes:
    """Write a request."""
    return (
        f"provisioner: 1\naction: project.provision\nid: p{number}\nproject: {{code: p{number}}}\n"
    ).encode()
