"""Targets: what policy looks at beside a request: the one that it steers, and what earlier ones say
of its subject.

Promises: reads only, inside the caller's transaction, and no more texts at once than a few hundred:
a subject may have ten thousand requests. Leaves out: what policy answers (`policy`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import replace

from provisioner.contract import InvalidRequest
from provisioner.controls import verbs
from provisioner.journal import audit
from provisioner.journal.dialect import chunks
from provisioner.journal.journal import Connection
from provisioner.journal.queries import lookup, precedents, subjects
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import request_rows
from provisioner.objects.states import RequestState
from provisioner.policy import rules
from provisioner.request.request import Request, parse_request
from provisioner.system.ulid import RequestId

CLAIMING = (
    *("user.provision", "project.provision", "allocation.provision", "membership.add"),
    *("project.archive", "membership.remove"),
)
"""Actions that state everything a subject claims from then on: its other claims go."""

CLOSING = ("user.suspend", "allocation.suspend")
"""Actions that close what is claimed for a subject."""


def named(conn: Connection, request: Request, seeker: Seeker) -> rules.Target | None:
    """Return the request that is steered; None if there is none, which the verb reports."""
    try:
        record = lookup.find(conn, verbs.named(request), seeker)
    except InvalidRequest:
        return None
    target = steered(conn, record)
    return _stopped(conn, record, target) if request.action == "request.retry" else target


_OVER = (RequestState.FAILED, RequestState.CANCELLED)
"""States from which a retry accepts a request once more."""


def _stopped(conn: Connection, record: request_rows.Record, target: rules.Target) -> rules.Target:
    """Add who holds, or held, another request of its writer for the same subject and action."""
    about = (record.writer, record.action, record.subject)
    kept = precedents.kept(conn, [about]).get(about) if record.state in _OVER else None
    if kept is None or kept.id == record.id:
        return target
    [other] = request_rows.load(conn, [kept.id]).values()
    behind = None if target.behind is None else (*target.behind, *_who_asked(conn, other).askers)
    return replace(target, held_by=kept.held_by, behind=behind, stopped=kept.id)


def steered(conn: Connection, record: request_rows.Record) -> rules.Target:
    """Return what policy looks at when a request is steered."""
    return replace(
        _who_asked(conn, record),
        reviewed=bool(record.for_review),
        digest=record.digest,
        before=_asked_before(conn, record) if record.held_by is not None else (),
        held=record.state == RequestState.HELD,
    )


def _who_asked(conn: Connection, record: request_rows.Record) -> rules.Target:
    return rules.Target(
        record.id,
        record.uid,
        record.writer,
        record.held_by,
        record.on_behalf_of,
        audit.behind(conn, record.id),
    )


def _asked_before(conn: Connection, record: request_rows.Record) -> tuple[str, ...]:
    """Return who has asked for what a request is about since it was last done."""
    if record.action in (*CLAIMING, *CLOSING):
        undone = precedents.undone(conn, record)
    else:
        undone = precedents.undone_within(conn, record)
    names = (
        name
        for part in chunks(undone)
        for record in request_rows.load(conn, part).values()
        for name in _who_asked(conn, record).askers
    )
    return tuple(dict.fromkeys(names))


_Said = tuple[frozenset[str], frozenset[str], frozenset[str]]
"""The resources, projects and accounts that a request names."""


class Recorded:
    """What recorded requests name, each read once: what they say never changes."""

    def __init__(self, most: int = 50_000) -> None:
        """most: of how many it is kept, 1 or more; each takes about a kilobyte."""
        self._most = most
        self._said: OrderedDict[RequestId, _Said] = OrderedDict()

    def with_subject(
        self, conn: Connection, writer: str, request: Request, question: rules.Question
    ) -> rules.Question:
        """Add what the subject of a writer's request already has, and whose it is."""
        root = request.subject.partition("/")[0]
        if not root.startswith(("allocation:", "project:")):
            return question  # people belong to no writer: portals and admins ask for the same ones
        rows = subjects.claimed_by(conn, root)
        owners = {row.source for row in rows}
        had = writer not in owners and precedents.had(conn, root, writer)
        beforehand = request.action in CLOSING and not (owners or had)
        nobodys = beforehand and not precedents.waits(conn, root, writer)
        owners = set() if had else owners
        already, projects = set(question.already), set(question.projects)
        accounts = set(question.accounts)
        for said in self._of(conn, {row.request for row in rows}):
            already |= said[0]
            projects |= said[1]
            accounts |= said[2]
        resources = question.resources or frozenset(already)
        return replace(
            question,
            resources=resources,
            already=frozenset(already - resources),
            projects=frozenset(projects),
            accounts=frozenset(accounts),
            owners=() if writer in owners else tuple(sorted(owners)),
            nobodys=nobodys,
        )

    def _of(self, conn: Connection, ids: Collection[RequestId]) -> Iterator[_Said]:
        """Yield what requests name, as far as they are known."""
        yield from [self._said[request] for request in ids if request in self._said]
        for part in chunks([request for request in ids if request not in self._said]):
            for record in request_rows.load(conn, part).values():
                of = rules.question(parse_request(record.body))
                said = self._said[record.id] = (of.resources, of.projects, of.accounts)
                yield said
        while len(self._said) > self._most:
            self._said.popitem(last=False)
