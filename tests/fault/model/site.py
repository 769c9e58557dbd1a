"""The service of the model: the real engine with the shipped routes, over emulated backends."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from provisioner.config import schema as configuration
from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED, OPEN
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.system.ulid import RequestId
from provisioner.wiring import System
from tests.fault.model.backends import KINDS, World, handlers
from tests.support import databases

CONFIG = f"""\
service: model
spool: spool
journal: journal.db
handlers: {{{", ".join(f"{name}: {{use: {kind}}}" for name, kind in KINDS.items())}}}
lanes: {{{", ".join(f"{name}: {{first: 60, most: 900}}" for name in KINDS)}}}
resources: {{one: {{handlers: [fs, slurm, nss]}}}}
"""


def _router(config: configuration.Config, known: list[Router] = []) -> Router:  # noqa: B006
    """Compile the routes, once for all sites: they ask handlers only for claims."""
    if not known:
        known.append(Router(config, handlers(World()), KINDS))
    return known[0]


class Site:
    """A service that can be killed and started again; what exists lives on."""

    def __init__(self, root: Path, more: str = "") -> None:
        """more: what the configuration says besides."""
        self.world = World()
        self._root = root
        (root / "provisioner.yaml").write_text(databases.placed(CONFIG + more, root))
        self.config = configuration.load(root / "provisioner.yaml")
        Spool.create(self.config.spool).close()
        self._dropped = 0
        self._start()

    def _start(self) -> None:
        made = handlers(self.world)
        self.system = System(self.config, made, KINDS, _router(self.config))
        self.spool = Spool.open(self.config.spool)
        self.service = Service(self.system, self.spool)
        for lane in self.service.lanes.values():
            lane._moment = 0.001  # an emulated backend that is away answers no sooner
        self.service.recover()

    def close(self) -> None:
        """Die as a process dies: descriptors are closed, and nothing else is."""
        self.spool.close()
        self.system.journal.close()

    def restart(self) -> None:
        """Die, and start as after a crash."""
        self.close()
        self._start()

    def take(self) -> None:
        """Let the service take what lies in staging, and do what follows from it."""
        while self.service.take():
            self.service.clerk.catch_up()

    def send(self, text: str, uid: int = 0) -> request_rows.Record:
        """Send a request as the user with a uid, and return its first result."""
        self._dropped += 1
        name = f"r{self._dropped}.yaml"
        self._put(name, text.encode(), uid)
        self.take()
        with self.system.journal.reading() as conn:
            found = request_rows.newest(conn, name, "")
        assert found is not None
        return found

    def _put(self, name: str, body: bytes, uid: int) -> None:
        path = self._root / name
        path.write_bytes(body)
        path.chmod(0o600)
        os.chown(path, uid, -1)
        path.rename(self.spool.staging / name)

    def send_manifest(
        self, lines: Sequence[str], uid: int = 0, more: str = ""
    ) -> tuple[str, list[request_rows.Record]]:
        """Reconcile with a manifest; return what its writer was told, and the requests that
        followed. more: what the request says besides."""
        body = "".join(f"{line}\n" for line in lines).encode()
        self._dropped += 1
        name = f"m{self._dropped}.jsonl"
        self._put(name, body, uid)
        digest = hashlib.sha256(body).hexdigest()
        named = f"{{file: {name}, size: {len(body)}, sha256: {digest}}}"
        record = self.send(f"provisioner: 1\naction: reconcile\n{more}manifest: {named}\n", uid)
        with self.system.journal.reading() as conn:
            known = request_rows.in_states(conn, (*OPEN, *ENDED), 10_000)
        return record.state, [one for one in known if one.id > record.id]

    def drain(self) -> None:
        """Let all lanes do what they can, until nothing changes any more."""
        before = None
        while before != (now := self._marks()):
            before = now
            with self.system.journal.transaction() as conn:
                conn.exec_driver_sql("UPDATE objects SET due = 0 WHERE due IS NOT NULL")
                busy = conn.exec_driver_sql("SELECT DISTINCT lane FROM objects WHERE due = 0")
                names = sorted(name for (name,) in busy)
            for lane in (self.service.lanes[name] for name in names):
                lane._breakers.until.clear()
                while lane.drain() and not lane.away:
                    pass
        self.service.clerk.catch_up()

    def _marks(self) -> tuple[object, ...]:
        """Return everything that a drain may change, except times."""
        with self.system.journal.reading() as conn:
            parts = conn.exec_driver_sql(
                "SELECT request, step, key, item, state FROM step_objects ORDER BY 1, 2, 3, 4"
            ).all()
            steps = conn.exec_driver_sql("SELECT request, name, state FROM steps ORDER BY 1, 2")
            return parts, steps.all(), sorted(self.world.rows.items())

    def state(self, request: str) -> str:
        """Return the state of a request."""
        with self.system.journal.reading() as conn:
            return request_rows.states_of(conn, [RequestId(request)])[RequestId(request)]
