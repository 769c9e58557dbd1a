"""What claims had set of an association's limits goes back, and what others set stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from handlers.slurm.limits.back import holds, sets, steps, unlocked
from provisioner.objects.applied import Applied, left, noted, settled

Limits = Mapping[str, Any]


def after(before: Limits, first: Limits, by_hand: Limits | None, second: Limits) -> list[Any]:
    """Set limits, have somebody change them, and ask for others."""
    seen = by_hand if by_hand is not None else _applied(before, first)
    applied = settled(noted({}, sets(first), holds(before, {}), taken=False), sets(first), ())
    gone = left(applied, sets(second), ())
    want = {"limits": second, **({"left": gone} if gone else {})}
    return steps(want, dict(seen))


def _applied(before: Limits, limits: Limits) -> dict[str, Any]:
    """Say how an association is that had some limits, and was given others."""
    now = {p: v for p, v in {**before, **limits}.items() if v not in (-1, "")}
    return {p: v for p, v in now.items() if not ("QOS" in limits and p in ("QOS+", "QOS-"))}


CASES: Sequence[tuple[str, Limits, Limits, Limits | None, Limits, list[Limits]]] = [
    ("what was not there", {}, {"MaxJobs": 5}, None, {}, [{"MaxJobs": -1}]),
    ("what was there", {"MaxJobs": 7}, {"MaxJobs": 5}, None, {}, [{"MaxJobs": 7}]),
    ("shares", {}, {"Fairshare": 50}, None, {}, [{"Fairshare": 1}]),
    ("one of several", {}, {"GrpTRES/cpu": 1, "GrpTRES/mem": 2}, None, {"GrpTRES/cpu": 1},
     [{"GrpTRES/mem": -1}]),
    ("set by hand since", {}, {"MaxJobs": 5}, {"MaxJobs": 6}, {}, []),
    ("cleared by hand since", {}, {"MaxJobs": 5}, {}, {}, []),
    ("so before", {"MaxJobs": 5}, {"MaxJobs": 5}, None, {}, []),
    ("nobody asked for", {"MaxJobs": 5}, {}, None, {}, []),
    ("a list", {}, {"QOS": "a,b"}, None, {}, [{"QOS": ""}]),
    ("a list before", {"QOS": "x"}, {"QOS": "a,b"}, None, {}, [{"QOS": "x"}]),
    ("added ones before", {"QOS+": "x", "QOS-": "y"}, {"QOS": "a,b"}, None, {},
     [{"QOS": ""}, {"QOS+": "x", "QOS-": "y"}]),
    ("a name that was added", {}, {"QOS+": "a"}, None, {}, [{"QOS": ""}]),
    ("a name beside another's", {"QOS+": "x"}, {"QOS+": "a"}, {"QOS+": "a,x"}, {},
     [{"QOS": ""}, {"QOS+": "x"}]),
    ("a name beside our own", {}, {"QOS+": "a,b"}, None, {"QOS+": "b"},
     [{"QOS": ""}, {"QOS+": "b"}]),
    ("a name that was there", {"QOS+": "a"}, {"QOS+": "a"}, None, {}, []),
    ("a name added to a list", {"QOS": "x"}, {"QOS+": "a"}, {"QOS": "a,x"}, {}, [{"QOS-": "a"}]),
    ("a name taken off", {}, {"QOS-": "a"}, None, {}, [{"QOS": ""}]),
    ("a name taken off a list", {"QOS": "a,x"}, {"QOS-": "a"}, {"QOS": "x"}, {}, [{"QOS+": "a"}]),
    ("a name that a list never had", {"QOS": "x"}, {"QOS-": "a"}, {"QOS": "x"}, {}, []),
    ("set, then added to", {"QOS": "x"}, {"QOS": "a"}, None, {"QOS+": "b"}, [{"QOS": "b,x"}]),
    ("added to, then set", {}, {"QOS+": "b"}, None, {"QOS": "a"}, [{"QOS": "a"}]),
    ("a list that somebody added to", {}, {"QOS": "a"}, {"QOS": "a,x"}, {}, []),
    ("more and less", {}, {"MaxJobs": 5, "QOS": "a"}, None, {"MaxWall": 60},
     [{"MaxJobs": -1, "MaxWall": 60, "QOS": ""}]),
    ("a list as wanted", {"QOS": "a,x"}, {}, None, {"QOS+": "a"}, []),
    ("a list to add to", {"QOS": "x"}, {}, None, {"QOS+": "a"}, [{"QOS+": "a"}]),
    ("names to add and take off", {}, {}, None, {"QOS+": "a", "QOS-": "b"},
     [{"QOS+": "a", "QOS-": "b"}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "first", "by_hand", "second", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_is_left_out_goes_back(
    before: Limits, first: Limits, by_hand: Limits | None, second: Limits, expected: list[Limits]
) -> None:
    assert after(before, first, by_hand, second) == expected


def test_what_is_cleared_of_a_whole_key_is_no_setting_of_its_own() -> None:
    assert sets({"GrpTRES": -1, "GrpTRES/cpu": 4}) == {"GrpTRES/cpu": 4}


def test_a_lock_is_nothing_to_go_back_to() -> None:
    lock = {"MaxJobs": 0, "MaxSubmitJobs": 0}
    assert holds({**lock, "MaxWall": 60}, lock) == {"MaxWall": 60}
    assert holds({"MaxJobs": 0}, lock) == {"MaxJobs": 0}


def test_what_opens_is_not_what_nobody_asks_for_any_more() -> None:
    gone: Applied = {"MaxJobs": {"set": [5], "before": 7}}
    assert unlocked({"left": gone}, {"MaxJobs": 5, "MaxSubmitJobs": -1}) == {
        "MaxJobs": 7,
        "MaxSubmitJobs": -1,
    }
