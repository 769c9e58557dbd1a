"""How disputes are kept among what else is noted of a request."""

from __future__ import annotations

from provisioner.steps import disputes

SAID = (
    "slurm-a/account/shared: Fairshare stays unchanged, because claims contradict each other: ..."
)


def test_what_was_noted_otherwise_stays_though_it_reads_like_a_dispute() -> None:
    noted = [{"line": None, "key": "", "message": SAID}]
    assert disputes.renewed(noted, ()) == noted


def test_a_dispute_that_is_over_goes_and_one_of_today_takes_its_place() -> None:
    own = {"line": None, "key": "manifest", "message": "2 as listed"}
    before = [own, *disputes.problems(["of yesterday"])]
    assert disputes.renewed(before, ()) == [own]
    assert disputes.renewed(before, [SAID]) == [own, *disputes.problems([SAID])]
