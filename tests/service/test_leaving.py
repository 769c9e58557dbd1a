"""A person who leaves and comes back, in a sandbox with every backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.slurm.slurmdbd import job_state
from provisioner.system import process
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
    return [(row["account"], row["user"]) for row in rows if job_state(row) == "RUNNING"]


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


# A request to delete data.


def told(desk: Desk, subject: str, code: int = 0) -> list[str]:
    return desk("removal", subject, code=code).out.splitlines()


def test_a_removal_lists_what_a_person_has_and_the_commands_and_does_nothing(desk: Desk) -> None:
    before = everything(desk, "jdoe")
    lines = told(desk, "user:jdoe")
    home = f"{desk.root}/home/jdoe"
    assert [line.strip() for line in lines if line.startswith("    ")] == [
        "sacctmgr delete user where name=jdoe account=cf1 cluster=a",
        "sacctmgr delete user where name=jdoe account=cf2 cluster=b",
        f"ldapdelete -H emulated://{desk.root}/ad.json CN=jdoe,OU=people,DC=campus,DC=test",
        f"rm -rf --one-file-system -- {home}",
        f"ldapdelete -H emulated://{desk.root}/lds.json cn=jdoe,OU=people,DC=hpc,DC=test",
        f"find {desk.root}/gpfs/fs1/cf1 -xdev -uid 20000 -ls",
    ]
    assert "provisioner suspend user:jdoe --cause removal --wait" in lines[1]
    assert everything(desk, "jdoe") == before
    assert desk("queue", "--json").json["requests"] == []


def test_what_was_removed_by_hand_is_not_made_again_while_its_person_is_suspended(
    desk: Desk,
) -> None:
    desk.serve(of_user("suspend", "jdoe") + "cause: removal\n")
    assert not any("It is not suspended" in line for line in told(desk, "user:jdoe"))
    desk.break_off("home/jdoe")
    desk.serve("provisioner: 1\naction: reconcile\n")
    assert not (desk.root / "home/jdoe").exists()


def test_a_removal_of_an_allocation_has_its_fileset_with_its_use_and_leaves_what_others_claim(
    desk: Desk,
) -> None:
    lines = told(desk, "allocation:1")
    at = lines.index("    mmunlinkfileset fs1 cf1")
    assert "quota 0 KiB of 1 TiB" in lines[at - 1]
    assert lines[at + 1] == "    mmdelfileset fs1 cf1 -f"
    assert "stays: groups/group/cf1: allocation:2 claims it, too" in lines


DELETE = "    sacctmgr delete account where name=cf1 cluster=a"


FIRST = "move or remove these first"


def sacctmgr(desk: Desk, *words: str) -> None:
    """Run sacctmgr as an admin does."""
    program = str(desk.root / "slurm/bin/sacctmgr")
    assert process.run([program, "-i", *words], timeout=60).returncode == 0


def test_an_account_goes_with_its_own_members_alone(desk: Desk) -> None:
    lines = told(desk, "allocation:2")
    assert DELETE in lines
    assert "    sacctmgr delete user where name=jdoe account=cf1 cluster=a" in lines


@pytest.mark.parametrize("whose", ["another allocation's", "an admin's"])
def test_an_account_stays_below_which_another_one_lies(desk: Desk, whose: str) -> None:
    if whose == "an admin's":
        sacctmgr(desk, "add", "account", "kid", "cluster=a", "parent=cf1")
        sacctmgr(desk, "add", "account", "own", "cluster=a", "parent=kid")
        inside = "slurm-a/account/kid, slurm-a/account/own"
    else:
        text = compute("4", "cluster-a", "CF4").replace("slurm: {", "slurm: {parent: cf1, ")
        desk.serve(text)
        members = [f"slurm-a/assoc/cf4/{name}" for name in ("asmith", "jdoe")]
        inside = ", ".join(["slurm-a/account/cf4", *members])
    lines = told(desk, "allocation:2")
    assert DELETE not in lines
    assert f"stays: slurm-a/account/cf1: it would take with it {inside}; {FIRST}" in lines


def test_an_account_stays_in_which_somebody_else_is(desk: Desk) -> None:
    sacctmgr(desk, "add", "user", "visitor", "cluster=a", "account=cf1")
    lines = told(desk, "allocation:2")
    assert DELETE not in lines
    said = "stays: slurm-a/account/cf1: it would take with it slurm-a/assoc/cf1/visitor"
    assert f"{said}; {FIRST}" in lines


def test_an_account_whose_content_cannot_be_read_stays(desk: Desk) -> None:
    desk.break_off("slurm")
    lines = told(desk, "allocation:2", code=5)
    assert DELETE not in lines


def test_a_removal_says_what_it_could_not_read(desk: Desk) -> None:
    desk.break_off("slurm")
    lines = told(desk, "user:jdoe", code=5)
    assert any(line.startswith("not read, so look again: slurm-a/assoc/") for line in lines)


def test_a_removal_takes_a_name_alone_and_asks_back_if_it_is_several(desk: Desk) -> None:
    assert told(desk, "jdoe") == told(desk, "user:jdoe")
    desk.serve(storage("jdoe").replace("id: 1", "id: 7"))
    asked = desk("removal", "jdoe", code=3).err
    assert "'jdoe' is 2 subjects; expected user:jdoe or project:jdoe" in asked


def test_a_removal_of_nobody_says_so(desk: Desk) -> None:
    assert told(desk, "user:nobody", code=3) == [
        "no backend has anything of user:nobody that a request claims"
    ]
