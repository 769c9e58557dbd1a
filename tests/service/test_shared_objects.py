"""Several allocations on one Slurm account: what counts is told before, at acceptance and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user


def compute(number: int, specs: str, users: str = "") -> str:
    return (
        f"provisioner: 1\naction: allocation.provision\nid: of-{number}\nallocation:\n"
        f"  id: {number}\n  resource: cluster-a\n  project: {{code: CF{number}, title: Shared}}\n"
        f'  users: [{users}]\n  slurm: {{account: shared, specs: "{specs}"}}\n'
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with one allocation on the account."""
    desk = Desk(tmp_path / "box")
    desk.serve(compute(9, "GrpTRES=cpu=100:DefaultQOS=normal:Fairshare=parent"))
    return desk


def test_the_plan_says_which_claim_gives_what(desk: Desk) -> None:
    file = desk.file("ten.yaml", compute(10, "GrpTRES=cpu=50"))
    told = desk("plan", file).out
    assert (
        "slurm-a/account/shared: GrpTRES=cpu=100 (largest): allocation:9 wants GrpTRES=cpu=100, "
        "allocation:10 wants GrpTRES=cpu=50"
    ) in told
    listed = desk("plan", file, "--json").json
    assert [len(o["notes"]) for step in listed for o in step["objects"] if o["notes"]] == [1]


def test_a_conflict_is_told_when_it_is_accepted_and_the_users_get_in(desk: Desk) -> None:
    desk("pause", "slurm")
    desk.begin(user("jdoe"), compute(10, "DefaultQOS=other:MaxJobs=3", "jdoe"))
    stays = "DefaultQOS stays unchanged, because claims contradict each other: allocation:9 wants "
    stays += "DefaultQOS=normal, allocation:10 wants DefaultQOS=other"
    assert stays in desk("show", "of-10").out
    assert stays in desk("plan", desk.file("ten.yaml", compute(10, "DefaultQOS=other"))).out
    desk("unpause", "slurm")
    desk.drain()
    shown = desk.show("of-10")
    assert shown["result"]["outcome"] == "done"
    assert stays in desk("show", "of-10").out
    changed = [text for step in shown["result"]["steps"] for text in step.get("changed", ())]
    assert "slurm-a/account/shared: account shared: MaxJobs=3" in changed
    assert "slurm-a/assoc/shared/jdoe: add user jdoe to account shared" in changed


def test_a_conflict_that_is_over_by_the_end_is_told_no_more(desk: Desk) -> None:
    desk("pause", "slurm")
    desk("submit", "-", stdin=compute(10, "Fairshare=9").encode())
    desk("run", "--drain", "--patience", "1", code=None)
    assert "stays unchanged" in desk("show", "of-10").out
    desk("submit", "-", stdin=compute(9, "").replace("of-9", "less").encode())
    desk("unpause", "slurm")
    desk.drain()
    assert desk.show("less")["result"]["outcome"] == "done"
    assert "stays unchanged" not in desk("show", "of-10").out
