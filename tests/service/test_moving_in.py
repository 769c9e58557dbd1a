"""A centre moves in: what `docs/moving-in.md` says, in a sandbox where old scripts were at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk
from tests.support.moving_site import (
    allocation,
    manifest,
    members,
    old_scripts,
    person,
    state,
)

FITS = {"quota": {"space": "5TiB"}}
DIFFERS = {"slurm": {"specs": "GrpTRES=cpu=64"}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox that observes beside the old scripts."""
    desk = Desk(tmp_path / "box")
    old_scripts(desk.root)
    desk.set("service: sandbox", "service: sandbox\nmode: observe")
    return desk


def portal(desk: Desk) -> str:
    """Write what the portal wants: all that is there, but for `legacy` and `scratch-old`."""
    users = ("jdoe", "asmith")
    storage = allocation(41, "hpc-storage", *users, **FITS)
    compute = allocation(42, "cluster-a", *users, **DIFFERS)
    return str(manifest(desk.root, person("jdoe"), person("asmith"), storage, compute))


def drain(desk: Desk, patience: int = 1) -> None:
    """Serve; patience: seconds for which nothing may happen before what is left is left."""
    desk("run", "--drain", "--patience", str(patience), code=None)


def test_what_is_there_is_compared_and_nothing_is_taken_over_unasked(desk: Desk) -> None:
    file = portal(desk)
    found = desk("adopt", "--manifest", file, "--json").json
    kinds = {one["object"]: one["is"] for one in found["objects"]}
    assert kinds["fs1/fileset/cf0003"] == kinds["slurm-a/assoc/cf0003/jdoe"] == "fits"
    assert kinds["ad/account/jdoe"] == kinds["groups/member/cf0003/asmith"] == "fits"
    assert kinds["slurm-a/account/cf0003"] == "differs"
    assert kinds["lds/account/jdoe"] == "missing"
    assert kinds["homes/home/jdoe"] == "later"
    assert found["unexplained"] == [
        "fs1/fileset/scratch-old",
        "slurm-a/account/legacy",
        "slurm-a/assoc/legacy/bwong",
    ]
    said = desk("adopt", "--manifest", file)
    assert "slurm-a/account/cf0003: account cf0003: GrpTRES=cpu=64" in said.out
    assert "add --yes" in said.err
    assert not list((desk.spool / "staging").iterdir())


def test_a_centre_moves_in(desk: Desk) -> None:
    before = state(desk.root)
    drain(desk)
    assert "unexplained:" in desk("drift", code=1).out
    assert "mode: observe" in desk("queue").out
    assert "the service only observes" in desk("doctor", code=None).out

    desk("adopt", "--manifest", portal(desk), "--unexplained", "--yes", "--reason", "moving in")
    drain(desk)
    assert state(desk.root) == before
    found = desk("drift", "--json", code=1).json
    assert [one["object"] for one in found["left"]] == ["slurm-a/account/cf0003"]
    assert {one["object"] for one in found["changes"]} == {
        "lds/account/jdoe",
        "lds/account/asmith",
    }
    assert (found["faults"], found["unexplained"], found["as_found"]) == ([], [], 3)
    assert "the service writes to no backend" in desk("status", "user:jdoe", code=1).out
    refused = desk("journal", "release", "--changes", "2", code=3).err
    assert "mode: observe" in refused

    desk.set("mode: observe", "mode: converge")
    drain(desk)
    assert state(desk.root) == before
    desk("journal", "release", "--changes", "2")
    drain(desk, patience=60)
    after = state(desk.root)
    assert after["slurm/slurmdbd.json"] == before["slurm/slurmdbd.json"]
    assert after["lds.json"] != before["lds.json"]
    again = desk("drift", "--json", code=1).json
    assert (again["changes"], again["faults"]) == ([], [])
    desk("submit", "-", stdin=b"provisioner: 1\naction: reconcile\n")
    drain(desk, patience=60)
    marked = desk("drift", "--json", code=1).json
    assert (marked["changes"], marked["faults"], marked["marks"]) == ([], [], 0)
    assert [one["object"] for one in again["left"]] == ["slurm-a/account/cf0003"]

    desk("adopt", "--manifest", portal(desk), "--differing", "--yes", code=1)  # it does not observe


@pytest.mark.parametrize("title", ["Protein folding", "Another title"], ids=["fits", "differs"])
@pytest.mark.parametrize("reconciles", [0, 2])
def test_a_member_of_an_adopted_group_leaves_and_comes_back_with_a_suspension(
    desk: Desk, title: str, reconciles: int
) -> None:
    """A group that differs never gets our mark, and one that fits gets it at a reconcile."""
    users = ("jdoe", "asmith")
    storage = allocation(41, "hpc-storage", *users, **FITS)
    storage["allocation"]["project"]["title"] = title
    file = manifest(desk.root, person("jdoe"), person("asmith"), storage)
    desk("adopt", "--manifest", str(file), "--yes", "--reason", "moving in")
    drain(desk)
    desk.set("mode: observe", "mode: converge")
    drain(desk)
    desk("journal", "release", "--changes", "2", "--reason", "moving in")
    drain(desk, 3)
    for _ in range(reconciles):
        desk("submit", "-", stdin=b"provisioner: 1\naction: reconcile\n")
        drain(desk)
    desk("suspend", "jdoe", "--cause", "leave")
    drain(desk, 3)
    assert members(desk.root) == {"asmith"}
    desk("resume", "jdoe", "--cause", "leave")
    drain(desk, 3)
    assert members(desk.root) == {"asmith", "jdoe"}
    assert desk("failed", "--json", code=None).json == []


def test_what_policy_and_handlers_leave_out_is_never_listed(desk: Desk) -> None:
    (desk.root / "home/lost+found").mkdir()
    listed = desk("drift", "--json", code=1).json["unexplained"]
    assert {"slurm-a/account/root", "fs1/fileset/root", "homes/home/lost+found"}.isdisjoint(listed)
    assert "ad/account/jdoe" in listed


def test_only_the_handlers_that_are_named_are_taken_over(desk: Desk) -> None:
    desk("adopt", "slurm-a", "--yes")
    drain(desk)
    left = desk("drift", "--json", code=1).json["unexplained"]
    assert not [key for key in left if key.startswith("slurm-a/")]
    assert "fs1/fileset/cf0003" in left


WRONG = {
    "a handler that is not there": (("adopt", "nowhere"), "no handler 'nowhere'"),
    "handlers beside a manifest": (("adopt", "ad", "--manifest", "x"), "name no handlers"),
    "differing without a manifest": (("adopt", "--differing"), "--manifest FILE"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_meant_is_told(desk: Desk, what: str) -> None:
    words, why = WRONG[what]
    assert why in desk(*words, code=3).err


def test_a_mark_of_another_service_is_a_conflict_that_is_listed(desk: Desk) -> None:
    """What bears another's mark is another's, whoever lists it."""
    import subprocess

    program = desk.root / "gpfs/bin/mmchfileset"
    comment = "other:fs9/fileset/cf0003"
    subprocess.run([program, "fs1", "cf0003", "-t", comment], check=True, capture_output=True)
    found = desk("adopt", "--manifest", portal(desk), "--json").json["objects"]
    [conflict] = [one for one in found if one["is"] == "conflict"]
    assert conflict["object"] == "fs1/fileset/cf0003"
    assert "the mark of another object" in conflict["texts"][0]
