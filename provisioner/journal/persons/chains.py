"""Chains: the requests that a request is to put right (`replaces`), what those were to put right,
and so on.

Promises: chains of any length are read by one query for each few hundred requests, inside the
caller's transaction, and each link once: a writer may put right what has put right something ten
thousand times. Leaves out: which requests may be put right (`review`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.schema import requests
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Link:
    """One request of a chain. replaces: the next one, None at the end."""

    writer: str
    replaces: RequestId | None


Links = Mapping[RequestId, Link]
"""The requests of some chains that are known, by id."""

_COLUMNS = requests.c.id, requests.c.writer, requests.c.replaces
_earlier = requests.alias()
_chain = select(*_COLUMNS).where(requests.c.id.in_(IDS)).cte("chain", recursive=True)
_chain = _chain.union(
    select(_earlier.c.id, _earlier.c.writer, _earlier.c.replaces).join(
        _chain, _earlier.c.id == _chain.c.replaces
    )
)
_CHAIN = select(_chain)


def read(conn: Connection, ids: Collection[RequestId]) -> Links:
    """Return some requests, and all to which they lead."""
    links: dict[RequestId, Link] = {}
    for part in chunks(ids):
        rows = conn.execute(_CHAIN, {"b_ids": part})
        links.update((row.id, Link(row.writer, row.replaces)) for row in rows)
    return links


def writers(links: Links) -> dict[RequestId, str]:
    """Return the writer of the last request to which each one leads."""
    last: dict[RequestId, str] = {}
    for request in links:
        passed: list[RequestId] = []
        at: RequestId | None = request
        writer = links[request].writer
        while at is not None and at in links and at not in last:
            passed.append(at)
            writer, at = links[at].writer, links[at].replaces
        writer = last[at] if at is not None and at in last else writer
        last.update(dict.fromkeys(passed, writer))
    return last
