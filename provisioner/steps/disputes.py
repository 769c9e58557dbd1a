"""Disputes: claims of requests that contradict others' claims, reported at acceptance and the end.

Promises: everything happens inside the caller's transaction; a dispute never makes a request wait
or fail. Leaves out: merging claims (`merging`), and the dry run, which shows disputes too
(`planning`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from provisioner.contract import Fault, Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.queries import holdings, replaced
from provisioner.journal.records import ledger, request_rows
from provisioner.objects.merging import disputed
from provisioner.steps.binding import Progress
from provisioner.system.ulid import RequestId

MOST = 20
"""The most remarks of one kind on one request: an allocation can have thousands of users."""


Claimed = Mapping[RequestId, Mapping[Key, str]]
"""The objects that each request claims, with their instances."""


def of(conn: Connection, claimed: Claimed, progress: Progress) -> dict[RequestId, list[str]]:
    """Return the settings of each request's objects that stay unchanged by a dispute, as texts."""
    instances = {key: instance for keys in claimed.values() for key, instance in keys.items()}
    wants: dict[Key, tuple[Want, Mapping[str, RequestId]]] = {}
    for key, claims in ledger.claims_of(conn, holdings.contested(conn, instances)).items():
        if len(claims) < 2:
            continue
        try:
            want = progress.merge_of(instances[key], key, claims)
        except Fault:
            continue  # its step fails, and reports why
        if disputed(want):
            wants[key] = want, {claim.claimant: RequestId(claim.order) for claim in claims}

    @cache  # many requests of a writer can claim one object, that very many others claim, too
    def texts_for(key: Key, writer: str) -> list[str]:
        want, claimants = wants[key]
        names = replaced.names_for(conn, claimants, writer)
        return [f"{key}: {text}" for text in disputed(want, names)]

    return {
        request: _texts(conn, request, wants.keys() & keys, texts_for)
        for request, keys in claimed.items()
    }


def _texts(
    conn: Connection,
    request: RequestId,
    keys: Collection[Key],
    texts_for: Callable[[Key, str], list[str]],
) -> list[str]:
    """Return the disputes of one request for its writer, without the names of other writers.

    keys: its objects of which something is in dispute; texts_for: says what, for a writer.
    """
    texts: list[str] = []
    if keys:
        writer = replaced.writer_of(conn, request)
        for key in sorted(keys)[:MOST]:
            texts += texts_for(key, writer)
    return texts[:MOST]


def note(conn: Connection, claimed: Claimed, progress: Progress) -> None:
    """Add the disputes of requests that were just accepted to their problems."""
    by_request = {request: texts for request, texts in of(conn, claimed, progress).items() if texts}
    for request, record in request_rows.load(conn, list(by_request)).items():
        noted = record.problems or ()
        request_rows.set_problems(conn, request, [*noted, *problems(by_request[request])])


def renewed(
    noted: Sequence[Mapping[str, Any]] | None, texts: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Replace the disputes among a request's problems by the present ones; the rest stays."""
    stays = [problem for problem in noted or () if not problem.get(_DISPUTE)]
    return [*stays, *problems(texts)]


def problems(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return disputes as problems of a request. A key of their own marks them as disputes."""
    return [{"line": None, "key": "", "message": text, _DISPUTE: True} for text in texts]


_DISPUTE = "dispute"
