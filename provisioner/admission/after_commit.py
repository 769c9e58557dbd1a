"""After the commit: what is left to do outside the journal, once a batch is in it. Pure.

Promises: everything that a batch leaves to do is one of these values, in the order in which it is
done; a crash before it is done loses nothing, as the next start does it again (`Service.recover`).
Leaves out: doing it (`service`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from provisioner.controls.verbs import Effect
from provisioner.objects.states import RequestState
from provisioner.spool.spool import Submission


@dataclass(frozen=True, slots=True)
class FollowManifests:
    """Compare and follow manifests, portion by portion. writers: uid of each request's writer."""

    writers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CountRefused:
    """Count refused files: outsiders' may be too many."""

    number: int


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Put a refused request's file through staging again."""

    request: str


@dataclass(frozen=True, slots=True)
class PauseLane:
    """Have a lane pause, or go on."""

    lane: str
    paused: bool


@dataclass(frozen=True, slots=True)
class EndObserving:
    """Have the lanes write to their backends again."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove a file that lay beside a request: all of it is in the journal, or none is needed."""

    companion: Submission


@dataclass(frozen=True, slots=True)
class MoveFiles:
    """Put the files of requests where their states say, with results and receipts.

    senders: uids of who sent those that came just now.
    """

    requests: frozenset[str]
    senders: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Announce:
    """Write the receipts of requests that were just accepted; their files lie right already."""

    requests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WakeLanes:
    """Have the lanes look for what a person made due."""


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
)


@dataclass(slots=True)
class Tally:
    """What an acceptance came to so far.

    accepted, scheduled: requests that came; readmitted: requests that were judged again; outcomes:
    of requests that are over; manifests: requests whose manifest is to be followed, with their
    writers' uids.
    """

    accepted: list[str] = field(default_factory=list)
    scheduled: list[str] = field(default_factory=list)
    readmitted: list[str] = field(default_factory=list)
    outcomes: dict[str, RequestState] = field(default_factory=dict)
    manifests: dict[str, int] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)


def after_commit(
    tally: Tally, senders: Mapping[str, int], companions: Iterable[Submission] = ()
) -> Iterator[AfterCommit]:
    """List what a batch leaves to do.

    senders: uids of who sent the requests that came; companions: files that lay beside these.
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
