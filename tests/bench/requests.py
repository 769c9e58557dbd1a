"""The requests of the bench, and a site whose one handler does nothing: the engine alone."""

from __future__ import annotations

from pathlib import Path

from provisioner.config import schema as configuration
from provisioner.routing.router import Router
from provisioner.spool.spool import Spool
from provisioner.wiring import System
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


def site(root: Path) -> tuple[System, Spool]:
    """Make a site with one handler that does nothing."""
    path = root / "provisioner.yaml"
    path.write_text(CONFIG)
    config = configuration.load(path)
    handlers = {"nothing": Nothing()}
    kinds = {"nothing": "nothing"}
    Spool.create(config.spool)
    return System(config, handlers, kinds, Router(config, handlers, kinds)), Spool.open(
        config.spool
    )


def body(number: int) -> bytes:
    """Make one small request."""
    return (
        f"provisioner: 1\naction: user.provision\nid: bench-{number}\n"
        f"user:\n  name: u{number}\n  full_name: User {number}\n"
    ).encode()


def fill(staging: Path, number: int, first: int = 0) -> None:
    """Put requests into staging, each whole, as if they had waited there. first: the number of the
    first."""
    for n in range(first, first + number):
        path = staging / f".r{n:06}.yaml"
        path.write_bytes(body(n))
        path.chmod(0o600)
        path.rename(staging / f"r{n:06}.yaml")
