"""A PostgreSQL for figures: with what it computes, and reached over the network where hosts ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.bench.memory import busy
from tests.support.clusters import Cluster, serving


@contextmanager
def server(top: Path) -> Iterator[Cluster]:
    """Serve a PostgreSQL in a new directory; what is committed is on the disk."""
    with serving(top / "cluster", "fsync=on") as made:
        yield made


@contextmanager
def reached(top: Path) -> Iterator[Cluster]:
    """Serve one that answers at its port, too, in a network that is this process's own."""
    with serving(top / "cluster", "fsync=on", "listen_addresses=*") as made:
        with (made.directory / "data/pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")
        with psycopg.connect(made.address) as conn:
            conn.execute("SELECT pg_reload_conf()")
        yield made


def computed(made: Cluster) -> float:
    """Return the seconds of a processor of the server's processes that are there now."""
    first = int((made.directory / "data/postmaster.pid").read_text().split()[0])
    others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return busy(first) + sum(busy(int(pid)) for pid in others)
