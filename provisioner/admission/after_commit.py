"""After the commit: what is left to do outside the journal, once a batch is in it. Pure.

Promises: everything that a batch leaves to do is one of these values, in the order in which it is
done; a crash before it is done loses nothing, as the next start does it again (`Service.recover`).
Leaves out: doing it (`service`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner.admission.admission import Admitted
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
    """Put the files of requests where their states say, with results and receipts."""

    requests: frozenset[str]


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


def after_commit(admitted: Admitted) -> Iterator[AfterCommit]:
    """List what a batch leaves to do."""
    if admitted.manifests:
        yield FollowManifests(admitted.manifests)
    refused = list(admitted.outcomes.values()).count(RequestState.REFUSED)
    if refused:
        yield CountRefused(refused)
    moved = {*admitted.outcomes, *admitted.scheduled, *admitted.readmitted}
    for effect in admitted.effects:
        moved.update(effect.reopened, effect.held)
        yield from map(Resubmit, effect.resubmitted)
        if effect.released:
            yield EndObserving()
        for lane, paused in effect.lanes.items():
            yield PauseLane(lane, paused)
    yield from map(Discard, admitted.companions)
    if moved:
        yield MoveFiles(frozenset(moved))
    announced = tuple(request for request in admitted.accepted if request not in moved)
    if announced:
        yield Announce(announced)
    if admitted.effects:
        yield WakeLanes()
