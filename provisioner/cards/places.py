"""Places: what the newest requests say of allocations and projects.

Promises: reads the journal only. Leaves out: what the backends have (`objects`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.journal.journal import Connection
from provisioner.journal.records import request_rows
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request

_ALLOCATING = ("allocation.provision", "membership.add")


@dataclass(frozen=True, slots=True)
class Place:
    """An allocation as its newest request describes it. '' for what the request does not say."""

    allocation: str
    resource: str
    code: str
    title: str
    pi: str
    writer: str


def places(conn: Connection, allocations: Collection[str] | None = None) -> dict[str, Place]:
    """Return the places of allocations; None: of all."""
    if allocations is None:
        records = request_rows.newest_of(conn, _ALLOCATING)
    else:
        whole = request_rows.newest_of(conn, ("allocation.provision",), allocations)
        known = {record.subject for record in whole}
        rest = [one for one in allocations if one not in known]
        records = [*whole, *(_by_membership(conn, rest) if rest else ())]
    found: dict[str, Place] = {}
    for record in records:
        root, slash, _ = record.subject.partition("/")
        if slash and root in found:
            continue  # a membership says less than the allocation's own request
        place = _place(root, record)
        if place is not None:
            found[root] = place
    return found


def _by_membership(conn: Connection, allocations: Collection[str]) -> list[request_rows.Record]:
    wanted = set(allocations)
    records = request_rows.newest_of(conn, ("membership.add",))
    return [one for one in records if one.subject.partition("/")[0] in wanted]


def _place(root: str, record: request_rows.Record) -> Place | None:
    try:
        request = parse_request(record.body)
    except InvalidDocument:  # the request is in an older format
        return None
    project: Mapping[str, Any] = request.values.get("project") or {}
    return Place(
        allocation=root.partition(":")[2],
        resource=request.resource or "",
        code=str(project.get("code") or ""),
        title=str(project.get("title") or ""),
        pi=str(project.get("pi") or ""),
        writer=record.writer,
    )


def projects(conn: Connection, codes: Collection[str] | None = None) -> dict[str, Place]:
    """Return what the newest `project.provision` says of projects, by code; None: of all."""
    subjects = None if codes is None else [f"project:{code}" for code in codes]
    records = request_rows.newest_of(conn, ("project.provision",), subjects)
    found = {record.subject.partition(":")[2]: _place("", record) for record in records}
    return {code: place for code, place in found.items() if place is not None}
