"""The requests of the bench, and a site whose one handler does nothing: the engine alone."""

from __future__ import annotations

import gc
from pathlib import Path

from provisioner.config import schema as configuration
from provisioner.routing.router import Router
from provisioner.spool.spool import Spool
from provisioner.wiring import GARBAGE, System
from tests.bench.nothing import Nothing

CONFIG = """\
service: bench
spool: spool
journal: journal.db
handlers:
  nothing: {use: nothing}
routes:
  user.provision:
    - {name: thing, handler: nothing, with: {name: "{{ user.name }}"}}
"""


def site(root: Path, more: str = "", journal: str = "journal.db") -> tuple[System, Spool]:
    """Make a site with one handler that does nothing.

    more: lines of its configuration; journal: its file, or its address on a server.
    """
    gc.set_threshold(GARBAGE)  # as where the command line builds it
    path = root / "provisioner.yaml"
    path.write_text(CONFIG.replace("journal.db", journal) + more)
    config = configuration.load(path)
    handlers = {"nothing": Nothing()}
    kinds = {"nothing": "nothing"}
    Spool.create(config.spool)
    return System(config, handlers, kinds, Router(config, handlers, kinds)), Spool.open(
        config.spool
    )


def body(number: int, user: int | None = None) -> bytes:
    """Make one small request. user: whom it is about, by number; somebody new if None."""
    user = number if user is None else user
    return (
        f"provisioner: 1\naction: user.provision\nid: bench-{number}\n"
        f"user:\n  name: u{user}\n  full_name: User {user}\n"
    ).encode()


def fill(staging: Path, number: int, first: int = 0, users: int | None = None) -> None:
    """Put requests into staging, each whole, as if they had waited there.

    first: the number of the first; users: how many users they are about; a new one each if None.
    """
    for n in range(first, first + number):
        path = staging / f".r{n:06}.yaml"
        path.write_bytes(body(n, None if users is None else n % users))
        path.chmod(0o600)
        path.rename(staging / f"r{n:06}.yaml")
