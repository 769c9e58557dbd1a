"""What no change says of an object is said by plan, and by the result."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user

KEY = "slurm-a/assoc/cf1/jdoe"


def allocation(users: str = "jdoe", slurm: str = "") -> str:
    return (
        "provisioner: 1\naction: allocation.provision\nallocation: {id: 1, resource: cluster-a, "
        f"project: {{code: CF1}}, users: [{users}], slurm: {{{slurm}}}}}\n"
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a site where an admin gave somebody one partition of a project's account."""
    desk = Desk(tmp_path / "box")
    desk.set(
        "cluster-a: {handlers: [slurm-a]}", "cluster-a: {handlers: [slurm-a], settings: {gate: no}}"
    )
    desk.serve(user("jdoe"), allocation(users=""))
    where = ["cluster=a", "account=cf1", "partition=gpu"]
    sacctmgr = str(desk.root / "slurm/bin/sacctmgr")
    subprocess.run([sacctmgr, "-i", "add", "user", "jdoe", *where], check=True)
    return desk


def test_who_keeps_partitions_alone_is_told_by_the_plan_and_by_the_result(desk: Desk) -> None:
    assert (
        f"{KEY}: keeps only the partitions gpu"
        in desk("plan", "-", stdin=allocation().encode()).out
    )
    shown = desk.show(desk.serve(allocation()))
    assert shown["state"] == "done"
    [note] = [one["message"] for one in shown["result"].get("problems", [])]
    assert note.startswith(f"{KEY}: keeps only the partitions gpu, which an admin gave")


def test_who_asks_for_partitions_is_told_nothing(desk: Desk) -> None:
    shown = desk.show(desk.serve(allocation(slurm="partitions: [gpu]")))
    assert (shown["state"], shown["result"].get("problems", [])) == ("done", [])
