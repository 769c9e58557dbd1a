"""What a newer request of the same subject leaves out goes back, through the whole of a sandbox."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.cli_site import Desk
from tests.support.moving_site import allocation, manifest, old_scripts

KIB = {"1TiB": 1 << 30, "2TiB": 2 << 30, "5TiB": 5 << 30, "unlimited": 0}
FILESET = "fs1/fileset/cf1"


def storage(quota: str = "", own: str = "") -> str:
    more = f"  quota: {{space: {quota}}}\n" if quota else ""
    return (
        f"provisioner: 1\naction: allocation.provision\n{f'id: {own}' if own else ''}\n"
        "allocation:\n  id: 1\n"
        f"  resource: hpc-storage\n  project: {{code: CF1, title: One}}\n  users: []\n{more}"
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox."""
    return Desk(tmp_path / "box")


def gpfs(desk: Desk, program: str, *words: str) -> None:
    """Do as an admin does."""
    argv = [str(desk.root / "gpfs/bin" / program), *words]
    subprocess.run(argv, check=True, capture_output=True)


def quota(desk: Desk, name: str = "cf1") -> str:
    limits = json.loads((desk.root / "gpfs/state.json").read_text())["quotas"]
    kib = limits.get(name, {"block": [0, 0]})["block"][1]
    return next(text for text, size in KIB.items() if size == kib)


def test_a_quota_that_is_left_out_is_told_by_the_plan_and_goes(desk: Desk) -> None:
    desk.serve(storage("1TiB"))
    told = desk("plan", desk.file("less.yaml", storage())).out
    assert "quota 1 TiB -> unlimited, because nobody asks for one any more" in told
    assert quota(desk) == "1TiB"
    desk.serve(storage())
    assert quota(desk) == "unlimited"
    assert desk("drift").code == 0


def test_a_quota_that_an_admin_had_set_before_comes_back(desk: Desk) -> None:
    desk.serve(storage())
    gpfs(desk, "mmsetquota", "fs1:cf1", "--block", "5T:5T")
    desk.serve(storage("1TiB"))
    desk.serve(storage("2TiB"))
    desk.serve(storage())
    assert quota(desk) == "5TiB"


def test_who_left_it_out_and_cancels_that_takes_nothing_back(desk: Desk) -> None:
    desk.serve(storage("1TiB"))
    desk("pause", "gpfs:local")
    desk.begin(storage(own="less"))
    desk("cancel", "less")
    desk("unpause", "gpfs:local")
    desk.drain()
    assert quota(desk) == "1TiB"


def test_what_was_adopted_as_it_was_is_taken_back_when_it_is_left_out(desk: Desk) -> None:
    old_scripts(desk.root)
    desk.set("service: sandbox", "service: sandbox\nmode: observe")
    whole = allocation(41, "hpc-storage", quota={"space": "5TiB"})
    desk("adopt", "--manifest", str(manifest(desk.root, whole)), "--yes")
    desk("run", "--drain", "--patience", "1", code=None)
    desk.set("mode: observe", "mode: converge")
    desk("run", "--drain", "--patience", "1", code=None)
    desk("journal", "release", "--changes", "0")
    assert quota(desk, "cf0003") == "5TiB"
    del whole["allocation"]["quota"]
    desk.serve(json.dumps({"provisioner": 1, **whole}) + "\n")
    assert quota(desk, "cf0003") == "unlimited"
