"""A person who leaves and comes back, in a sandbox with every backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, of_user, storage, user

COMPUTE = """provisioner: 1
action: allocation.provision
allocation:
  id: ID
  resource: RESOURCE
  project: {code: CODE, title: Two, pi: asmith}
  users: [jdoe, asmith]
  slurm: {user_specs: "MaxJobs=10:MaxSubmitJobs=40"}
"""


def compute(number: str, resource: str, code: str) -> str:
    """Write a request for an allocation of two people on a cluster."""
    text = COMPUTE.replace("ID", number).replace("RESOURCE", resource)
    return text.replace("CODE", code)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with two people in storage and in accounts of two clusters."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"), user("asmith"), storage(users="jdoe, asmith"))
    desk.serve(compute("2", "cluster-a", "CF1"), compute("3", "cluster-b", "CF2"))
    return desk


def everything(desk: Desk, name: str) -> dict[str, Any]:
    """Return the state of every object of a person, as its backend has it."""
    said = desk("status", f"user:{name}", "--json", code=None).json
    return {one["object"]: one["state"] for one in said}


LOCKED = {"MaxJobs": 0, "MaxSubmitJobs": 0}


def test_who_is_suspended_is_closed_in_every_backend_and_a_resume_gives_it_back_as_it_was(
    desk: Desk,
) -> None:
    before, other = everything(desk, "jdoe"), everything(desk, "asmith")
    for cause in ("leave", "audit"):
        desk.serve(of_user("suspend", "jdoe") + f"cause: {cause}\n")
    closed = everything(desk, "jdoe")
    assert [closed[f"{name}/account/jdoe"]["enabled"] for name in ("ad", "lds")] == [False, False]
    assert (closed["homes/home/jdoe"]["uid"], closed["homes/home/jdoe"]["mode"]) == (0, "1000")
    assert [closed[f"groups/member/cf{n}/jdoe"]["present"] for n in (1, 2)] == [False, False]
    assert closed["slurm-a/assoc/cf1/jdoe"]["limits"] == LOCKED
    assert closed["slurm-b/assoc/cf2/jdoe"]["limits"] == LOCKED
    desk.serve(of_user("resume", "jdoe") + "cause: audit\n")
    assert everything(desk, "jdoe") == closed
    desk.serve(of_user("resume", "jdoe") + "cause: leave\n")
    assert everything(desk, "jdoe") == before
    assert everything(desk, "asmith") == other


def run_jobs(desk: Desk, *jobs: tuple[str, str]) -> None:
    """Let jobs run, given by account and user."""
    file = desk.root / "slurm/slurmdbd.json"
    rows = [{"account": account, "user": name} for account, name in jobs]
    file.write_text(json.dumps({**json.loads(file.read_text()), "jobs": rows}))


def jobs(desk: Desk) -> list[tuple[str, str]]:
    rows = json.loads((desk.root / "slurm/slurmdbd.json").read_text())["jobs"]
    return [(row["account"], row["user"]) for row in rows]


JOBS = (("cf1", "jdoe"), ("cf1", "jdoe"), ("cf1", "asmith"), ("cf2", "jdoe"), ("other", "jdoe"))


def cancels(desk: Desk, most: int) -> None:
    """Let cluster a cancel so many jobs of a user who is suspended."""
    more = f"cluster: a\n    on_suspend: cancel\n    most_cancelled: {most}\n"
    desk.set("cluster: a\n", more)


def test_jobs_of_who_is_suspended_run_on_where_nothing_else_is_set(desk: Desk) -> None:
    run_jobs(desk, *JOBS)
    desk.serve(of_user("suspend", "jdoe"))
    assert jobs(desk) == list(JOBS)


def test_jobs_of_who_is_suspended_are_cancelled_where_it_is_set_and_nobody_elses(
    desk: Desk,
) -> None:
    cancels(desk, 2)
    run_jobs(desk, *JOBS)
    result = desk.show(desk.serve(of_user("suspend", "jdoe")))["result"]
    assert result["outcome"] == "done"
    assert jobs(desk) == [("cf1", "asmith"), ("cf2", "jdoe"), ("other", "jdoe")]
    assert "cancel 2 jobs of jdoe in cf1" in json.dumps(result)


def test_more_jobs_than_may_be_cancelled_run_on_and_the_result_says_so_while_access_is_closed(
    desk: Desk,
) -> None:
    cancels(desk, 1)
    run_jobs(desk, *JOBS)
    result = desk.show(desk.serve(of_user("suspend", "jdoe")))["result"]
    assert jobs(desk) == list(JOBS)
    assert everything(desk, "jdoe")["slurm-a/assoc/cf1/jdoe"]["limits"] == LOCKED
    said = "2 jobs of jdoe in cf1 run on: more than the 1 that `most_cancelled` allows. "
    assert said + "To end them: scancel --user=jdoe --account=cf1" in json.dumps(result)


def test_the_account_of_who_comes_back_keeps_its_jobs(desk: Desk) -> None:
    cancels(desk, 9)
    desk.serve(of_user("suspend", "jdoe"), of_user("resume", "jdoe"))
    run_jobs(desk, *JOBS)
    desk.serve("provisioner: 1\naction: reconcile\n")
    assert jobs(desk) == list(JOBS)


def test_a_missing_scancel_is_found_where_jobs_are_cancelled(desk: Desk) -> None:
    (desk.root / "slurm/bin/scancel").unlink()
    assert "error" not in [one["level"] for one in desk("doctor", "--json", code=None).json]
    cancels(desk, 1)
    found = desk("doctor", "--json", code=None).json
    [error] = [one for one in found if one["level"] == "error"]
    assert error["subject"] == "slurm-a: scancel"
