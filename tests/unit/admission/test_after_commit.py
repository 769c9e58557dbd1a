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
from provisioner.controls.verbs import Effect
from provisioner.objects.states import RequestState


def moved(*requests: str) -> MoveFiles:
    return MoveFiles(frozenset(requests))


CASES: dict[str, tuple[Tally, Sequence[AfterCommit]]] = {
    "nothing came": (Tally(), []),
    "accepted": (Tally(accepted=["a", "b"]), [Announce(("a", "b"))]),
    "over at once": (
        Tally(accepted=["a"], outcomes={"a": RequestState.DONE}),
        [moved("a")],
    ),
    "refused": (
        Tally(outcomes={"a": RequestState.REFUSED, "b": RequestState.HELD}),
        [CountRefused(1), moved("a", "b")],
    ),
    "waits for its time": (Tally(scheduled=["a"]), [moved("a")]),
    "a manifest": (Tally(manifests={"a": 7}), [FollowManifests({"a": 7})]),
    "held by a person": (Tally(effects=[Effect(held=["a"])]), [moved("a"), WakeLanes()]),
    "tried again from staging": (
        Tally(effects=[Effect(resubmitted=["a"])]),
        [Resubmit("a"), WakeLanes()],
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
