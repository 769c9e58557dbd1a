"""Wire: what the processes of several hosts say to each other through the server.

Promises: a beat never waits for a transaction of another host, and reads what is committed. News
are heard after their commit, by every process that listens then. Leaves out: what follows from
either (`provisioner.hosts`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import psycopg

from provisioner.contract import ConfigError
from provisioner.journal.postgresql.server import (
    CHANNEL,
    KEY,
    NOW,
    TELL,
    WRITER,
    connected,
    unusable,
)

_LISTEN = f"SELECT format('LISTEN %I', {CHANNEL})"
_BEAT = f"UPDATE hosts SET heard = {NOW}, ahead = %s - {NOW} WHERE name = %s AND roles = %s"
_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE "
    f"locktype = 'advisory' AND granted AND classid = {WRITER} AND objid::BIGINT = "
    f"{KEY}::BIGINT & 4294967295 AND wait_event_type = 'Client' "
    "AND state_change < clock_timestamp() - make_interval(secs => "
    "%s * CASE wait_event WHEN 'ClientRead' THEN 1 ELSE 3 END)"
)
"""Ends who keeps all other writers waiting, and does nothing: a host that froze. The server has no
time limit for one that froze between the rows of one statement, or before it took all of an answer,
as it is active; such an answer is as old as its statement, which may have taken long itself."""

_HOLDS = "SELECT lane, epoch FROM holds"
_TIME = f"SELECT {NOW}"


@dataclass(frozen=True, slots=True)
class Beat:
    """What a process learned. epochs: of each lane; server: its time, in seconds since the
    epoch; known: others see it."""

    epochs: Mapping[str, int]
    server: float
    known: bool


class Wire:
    """Two connections: one asks, the other listens."""

    def __init__(self, place: str) -> None:
        """Connect. Raises ConfigError."""
        self._turn = Lock()
        try:
            self._asks, self._listens = _open(place), _open(place)
            [(listen,)] = self._listens.execute(_LISTEN).fetchall()
            self._listens.execute(listen)
        except psycopg.Error as error:
            raise unusable(place, error) from error

    def beat(self, name: str, roles: str, rest: float) -> Beat:
        """Say that a host is there, and learn who has which lane. Raises ConfigError.

        rest: seconds after which a writer's transaction is ended that does nothing.
        """
        with self._turn, _lost():
            self._asks.execute(_CUT, [rest])
            known = self._asks.execute(_BEAT, [time.time(), name, roles]).rowcount == 1
            epochs = dict(self._asks.execute(_HOLDS).fetchall())
            [(server,)] = self._asks.execute(_TIME).fetchall()
        return Beat(epochs, server, known)

    def tell(self, news: str) -> None:
        """Tell every process something now. Raises ConfigError."""
        with self._turn, _lost():
            self._asks.execute(TELL, [news])

    def news(self, seconds: float) -> Iterator[str]:
        """Yield what others tell, for some seconds. Raises ConfigError."""
        with _lost():
            for told in self._listens.notifies(timeout=seconds):
                yield told.payload

    def close(self) -> None:
        """End both connections."""
        for conn in (self._asks, self._listens):
            with suppress(psycopg.Error):
                conn.close()


def _open(place: str) -> Any:
    made = connected(place)
    made.autocommit = True
    return made


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise ConfigError(
            f"the connection to the journal's server was lost: {' '.join(str(error).split())}",
            advice="what waits continues when the service starts again",
            passing=True,
        ) from error
