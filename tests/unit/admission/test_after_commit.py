"""What a batch leaves to do once it is committed, in its order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from provisioner.admission.after_commit import (
    AfterCommit,
    Announce,
    CountRefused,
    EndObserving,
    FollowManifests,
    MoveFiles,
    PauseLane,
    Resubmit,
    Tally,
    WakeLanes,
    after_commit,
)
from provisioner.controls.effects import Effect
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

A, B = RequestId("a"), RequestId("b")


def moved(*requests: RequestId) -> MoveFiles:
    return MoveFiles(frozenset(requests))


CASES: dict[str, tuple[Tally, Sequence[AfterCommit]]] = {
    "nothing came": (Tally(), []),
    "accepted": (Tally(accepted=[A, B]), [Announce((A, B))]),
    "over at once": (
        Tally(accepted=[A], outcomes={A: RequestState.DONE}),
        [moved(A)],
    ),
    "refused": (
        Tally(outcomes={A: RequestState.REFUSED, B: RequestState.HELD}),
        [CountRefused(1), moved(A, B)],
    ),
    "waits for its time": (Tally(scheduled=[A]), [moved(A)]),
    "a manifest": (Tally(manifests={A: 7}), [FollowManifests({A: 7})]),
    "held by a person": (Tally(effects=[Effect(held=[A])]), [moved(A), WakeLanes()]),
    "tried again from staging": (
        Tally(effects=[Effect(resubmitted=[A])]),
        [Resubmit(A), WakeLanes()],
    ),
    "a lane is paused": (
        Tally(effects=[Effect(lanes={"x": True})]),
        [PauseLane("x", True), WakeLanes()],
    ),
    "the journal is released": (
        Tally(effects=[Effect(released=True)]),
        [EndObserving(), WakeLanes()],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_batch_leaves_to_do_is_listed_in_its_order(name: str) -> None:
    tally, expected = CASES[name]
    assert list(after_commit(tally, {})) == expected
