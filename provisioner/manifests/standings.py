"""Standings: how subjects stand in the ledger, to compare a manifest with it.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. What follows from another manifest is as old as that one, however late it was followed:
the journal says from which it follows. Leaves out: what a manifest does about it (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from provisioner.journal.dialect import folded
from provisioner.journal.journal import Connection
from provisioner.journal.persons import askers, words
from provisioner.journal.queries import dates, history
from provisioner.journal.queries import subjects as claiming
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.manifests.manifest import CAUSE, Standing
from provisioner.objects.states import OPEN
from provisioner.request import crowds
from provisioner.request.request import parse_request
from provisioner.system.ulid import RequestId


def of(conn: Connection, subjects: Collection[str], writer: str, age: Age) -> dict[str, Standing]:
    """Return how each of some subjects stands.

    writer: the manifest's, whose suspensions count; all others are other writers; age: of the
    manifest.
    """
    held = claiming.claims_of(conn, subjects)
    placed = claiming.placed_by_others(conn, subjects, writer)
    suspended = claiming.suspended_by(conn, subjects, writer, CAUSE)
    asked = {folded(subject): list[RequestId]() for subject in subjects}
    for request, subject in history.asked_since(conn, writer, age.least):
        if subject in asked:
            asked[subject].append(request)
    asking = askers.of(conn, subjects)
    behind = {claim.request for some in held.values() for claim in some}
    behind |= {*suspended.values(), *(request for some in asked.values() for request in some)}
    own_words = [some[writer] for some in asking.values() if writer in some]
    behind |= {word.request for word in own_words}
    behind |= {word.again for word in own_words if word.again is not None}
    later, own = age.later(conn, behind)
    shared = [name for name in subjects if asking[name]]
    closing = [word for word in words.of(conn, shared) if word.closes]
    left_out = {word.subject for word in closing if word.writer != writer}
    having = {c.request for some in held.values() for c in some}
    states, dated = request_rows.states_of(conn, having), dates.said_inside(conn, having)
    is_open = [request for request, state in states.items() if state in OPEN]
    waiting = {
        request: crowds.whole(record.body, record.listed)
        for request, record in request_rows.load(conn, is_open).items()
    }
    ends = dates.last_said(conn, subjects)
    stopped = request_rows.held_for(conn, writer)
    return {
        subject: Standing(
            tuple(some),
            suspended.get(subject),
            stopped.get(folded(subject)),
            # A claim that waits for a step of a finished request would wait for ever.
            any(claim.want is None and claim.request not in waiting for claim in some),
            placed.get(subject, ()),
            {name: waiting[name] for name in {c.request for c in some} & waiting.keys()},
            ends.get(subject),
            subject in left_out,
            asking[subject],
            tuple(request for request in asked[folded(subject)] if request in later - own),
            subject in dated,
            later,
        )
        for subject, some in held.items()
    }


# What came after a manifest.


@dataclass(frozen=True, slots=True)
class Moment:
    """The point in time from which a manifest counts.

    least: the smallest id that counts as later; id: its request's; since: the highest number of its
    writer's requests that it knew, None if it says none.
    """

    least: RequestId
    id: RequestId
    since: int | None = None

    def is_before(self, other: Moment) -> bool:
        """Return True if another manifest's writer knew more, or it came later and knew as much."""
        if self.since is not None and other.since is not None and self.since != other.since:
            return self.since < other.since
        return (self.least, self.id) < (other.least, other.id)


def moment_of(conn: Connection, record: Record) -> Moment:
    """Return the point from which a manifest counts: its `as_of`, or its acceptance.

    Its writer's requests that it names by `since` are later, whatever the time.
    """
    values, least = parse_request(record.body).values, [record.id]
    as_of, since = values["as_of"], values.get("since")
    if as_of is not None:
        least.append(history.first_at(conn, as_of.timestamp()))
    if since is not None:
        least += history.numbered(conn, record.writer, since, record.id)
    return Moment(min(least), record.id, since)


@dataclass(frozen=True, slots=True)
class Age:
    """What came after one manifest."""

    moment: Moment
    _others: dict[RequestId, Moment] = field(default_factory=dict)

    @property
    def least(self) -> RequestId:
        """Return the smallest id that counts as later."""
        return self.moment.least

    def later(
        self, conn: Connection, behind: Collection[RequestId]
    ) -> tuple[frozenset[RequestId], frozenset[RequestId]]:
        """Return those of some requests that came after the manifest, and those that are its own or
        follow from it."""
        doubtful = [request for request in behind if request >= self.least]
        manifests = history.manifests_of(conn, doubtful)
        self._know(conn, {*manifests.values()} - {self.moment.id, *self._others})
        earlier = {name for name, moment in self._others.items() if moment.is_before(self.moment)}
        later = frozenset(one for one in doubtful if manifests.get(one) not in earlier)
        return later, frozenset(one for one in later if manifests.get(one) == self.moment.id)

    def _know(self, conn: Connection, manifests: Collection[RequestId]) -> None:
        """Read from when on other manifests count; of one that is long gone, its id says so."""
        records = request_rows.load(conn, manifests)
        for name in manifests:
            record = records.get(name)
            self._others[name] = Moment(name, name) if record is None else moment_of(conn, record)
