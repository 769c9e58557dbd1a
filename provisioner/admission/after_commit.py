"""After the commit: the tasks outside the journal that a committed batch leaves. Pure.

Promises: every task is one of these values, in the order in which they are done. A crash before
that loses nothing, because the next start does them again (`Service.recover`). Leaves out: doing
them (`service`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from provisioner.contract import Key
from provisioner.controls.effects import Effect
from provisioner.objects.states import RequestState
from provisioner.spool.spool import Submission
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class FollowManifests:
    """Compare and follow manifests in portions. writers: uid of each request's writer."""

    writers: Mapping[RequestId, int]


@dataclass(frozen=True, slots=True)
class CountRefused:
    """Count refused files, because outsiders may have too many."""

    number: int


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Put a refused request's file through staging again."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class PauseLane:
    """Pause a lane, or let it continue."""

    lane: str
    paused: bool


@dataclass(frozen=True, slots=True)
class EndObserving:
    """Let the lanes write to their backends again."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove a file beside a request: the journal has all of it, or nobody needs it."""

    companion: Submission


@dataclass(frozen=True, slots=True)
class MoveFiles:
    """Move the files of requests to where their states say, with results and receipts.

    senders: uids of the senders of files that were just taken.
    """

    requests: frozenset[RequestId]
    senders: Mapping[RequestId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Announce:
    """Write the receipts of requests that were just accepted; their files are in place already."""

    requests: tuple[RequestId, ...]


@dataclass(frozen=True, slots=True)
class WakeLanes:
    """Wake the lanes for what a person made due."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Tell handlers that they are to make objects soon, after other steps. after: a few objects,
    and those that their steps need."""

    after: Mapping[Key, frozenset[Key]]


AfterCommit = (
    FollowManifests
    | CountRefused
    | Resubmit
    | PauseLane
    | EndObserving
    | Discard
    | MoveFiles
    | Announce
    | WakeLanes
    | Prepare
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """The result of a commit. taken: new requests; accepted: those of them that begin now.

    left: the tasks outside the journal, in their order; former: the ids with which files were
    taken that got another one.
    """

    taken: tuple[RequestId, ...]
    accepted: tuple[RequestId, ...]
    left: tuple[AfterCommit, ...]
    former: Mapping[RequestId, RequestId] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """The results of an acceptance so far.

    accepted, scheduled: new requests; readmitted: requests that were judged again; outcomes: of
    requests that are over; manifests: requests whose manifest is to be followed, with their
    writers' uids.
    """

    accepted: list[RequestId] = field(default_factory=list)
    scheduled: list[RequestId] = field(default_factory=list)
    readmitted: list[RequestId] = field(default_factory=list)
    outcomes: dict[RequestId, RequestState] = field(default_factory=dict)
    manifests: dict[RequestId, int] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)


def after_commit(
    tally: Tally, senders: Mapping[RequestId, int], companions: Iterable[Submission] = ()
) -> Iterator[AfterCommit]:
    """Yield the tasks that a batch leaves.

    senders: uids of the senders of new requests; companions: files that were beside these.
    """
    if tally.manifests:
        yield FollowManifests(tally.manifests)
    refused = list(tally.outcomes.values()).count(RequestState.REFUSED)
    if refused:
        yield CountRefused(refused)
    moved = {*tally.outcomes, *tally.scheduled, *tally.readmitted}
    for effect in tally.effects:
        moved.update(effect.reopened, effect.held)
        yield from map(Resubmit, effect.resubmitted)
        if effect.released:
            yield EndObserving()
        for lane, paused in effect.lanes.items():
            yield PauseLane(lane, paused)
    yield from map(Discard, companions)
    if moved:
        yield MoveFiles(frozenset(moved), senders)
    announced = tuple(request for request in tally.accepted if request not in moved)
    if announced:
        yield Announce(announced)
    if tally.effects:
        yield WakeLanes()
