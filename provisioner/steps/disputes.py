"""Disputes: requests whose claims contradict another's, told when they are accepted and at the end.

Promises: inside the caller's transaction; nothing is refused or kept waiting for a dispute. Leaves
out: what claims come to (`merging`), and the dry run, which tells it too (`planning`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provisioner.contract import Fault, Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.queries import replaced
from provisioner.journal.records import ledger, request_rows
from provisioner.objects.merging import disputed
from provisioner.steps.binding import Progress

MOST = 20
"""Disputes that are told of one request."""


Asked = Mapping[str, Mapping[Key, str]]
"""By request the objects that it claims, with their instances."""


def of(conn: Connection, asked: Asked, progress: Progress) -> dict[str, list[str]]:
    """Say of requests what stays as it is of the objects that others claim as well."""
    instances = {key: instance for keys in asked.values() for key, instance in keys.items()}
    wants: dict[Key, tuple[Want, Mapping[str, str]]] = {}
    for key, claims in ledger.claims_of(conn, instances).items():
        if len(claims) < 2:
            continue
        try:
            want = progress.merge_of(instances[key], key, claims)
        except Fault:
            continue  # its step fails, and says why
        if disputed(want):
            wants[key] = want, {claim.claimant: claim.order for claim in claims}
    return {request: _told(conn, request, keys, wants) for request, keys in asked.items()}


def _told(
    conn: Connection,
    request: str,
    keys: Iterable[Key],
    wants: Mapping[Key, tuple[Want, Mapping[str, str]]],
) -> list[str]:
    """Tell a request's writer of disputes, without whom others ask for."""
    mine = sorted(set(keys) & wants.keys())
    if not mine:
        return []
    told: list[str] = []
    writer = replaced.writer_of(conn, request)
    for key in mine:
        want, claimants = wants[key]
        names = replaced.names_for(conn, claimants, writer)
        told += [f"{key}: {text}" for text in disputed(want, names)]
    return told[:MOST]


def note(conn: Connection, asked: Asked, progress: Progress) -> None:
    """Note of requests that were just accepted what stays as it is, beside what was noted."""
    said = {request: told for request, told in of(conn, asked, progress).items() if told}
    for request, record in request_rows.load(conn, list(said)).items():
        noted = record.problems or ()
        request_rows.set_problems(conn, request, [*noted, *problems(said[request])])


def renewed(
    noted: Sequence[Mapping[str, Any]] | None, texts: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Put the disputes of today in the place of those that were noted before; all else stays."""
    stays = [one for one in noted or () if not one.get(_DISPUTE)]
    return [*stays, *problems(texts)]


def problems(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Write disputes as a request's problems; they are known by more than their words."""
    return [{"line": None, "key": "", "message": text, _DISPUTE: True} for text in texts]


_DISPUTE = "dispute"
