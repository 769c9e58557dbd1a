"""`plan` says what `run` then does, but for what is known only after a step; it writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import SAMPLES, SERVED, Desk, of_user, sample, served, user

Changes = dict[str, list[str]]
"""The changes of each object, in order."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a sandbox in which every sample was served."""
    return served(tmp_path_factory.mktemp("plan") / "site")


def objects(plan: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in plan:
        yield from step["objects"]


def planned(plan: list[dict[str, Any]]) -> Changes:
    """List what a plan says of each object, without what it cannot know yet."""
    assert [one for one in objects(plan) if one["error"]] == []
    return {one["object"]: one["changes"] for one in objects(plan) if not one["known_after"]}


def late(plan: list[dict[str, Any]]) -> set[str]:
    return {one["object"] for one in objects(plan) if one["known_after"]}


def made(desk: Desk, name: str) -> Changes:
    """List what the result of a request says was changed of each object that it speaks of."""
    found: Changes = {}
    result = desk.show(name)["result"]
    assert result["outcome"] == "done"
    for step in result["steps"]:
        for key in step.get("already", ()):
            found[key] = []
        for line in step.get("changed", ()):
            key, _, text = line.partition(": ")
            found.setdefault(key, []).append(text)
    return found


@pytest.mark.parametrize("name", SERVED)
def test_a_sample_does_what_its_plan_said(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path / "site")
    for earlier in SERVED[: SERVED.index(name)]:
        desk.serve(sample(earlier))
    plan = desk("plan", sample(name), "--json").json
    done = made(desk, desk.serve(sample(name)))
    assert planned(plan)
    assert {key: done[key] for key in planned(plan)} == planned(plan)
    assert set(done) == set(planned(plan)) | late(plan)


@pytest.mark.parametrize("name", SERVED)
def test_a_sample_that_was_served_has_nothing_left_in_its_plan(desk: Desk, name: str) -> None:
    desk.serve(sample(name))
    plan = desk("plan", sample(name), "--json").json
    assert all(one["already"] for one in objects(plan)), plan
    assert late(plan) == set()


CHANGES = {
    "a new quota": (SAMPLES / "storage.yaml").read_text().replace("5TiB", "6TiB"),
    "a user less": (SAMPLES / "storage.yaml").read_text().replace("[jdoe, asmith]", "[jdoe]"),
    "a suspension": of_user("suspend", "jdoe"),
    "a provision of who is suspended": (SAMPLES / "user-jdoe.yaml").read_text(),
    "a resume": of_user("resume", "jdoe"),
    "an allocation's suspension": (
        "provisioner: 1\naction: allocation.suspend\nallocation: {id: 42}\n"
    ),
    "an allocation's resume": "provisioner: 1\naction: allocation.resume\nallocation: {id: 42}\n",
    "a removal": (
        "provisioner: 1\naction: membership.remove\n"
        "membership: {user: jdoe, allocation: {id: 42}}\n"
    ),
    "a reconcile": "provisioner: 1\naction: reconcile\n",
}


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES.keys())
def test_what_comes_later_does_what_its_plan_said(desk: Desk, text: str) -> None:
    """Each in the state that those before it left; from any state it holds."""
    plan = desk("plan", "-", "--json", stdin=text.encode()).json
    assert made(desk, desk.serve(text)) == planned(plan)


def test_what_another_suspended_is_not_planned_to_be_resumed(desk: Desk) -> None:
    desk.serve(of_user("suspend", "jdoe") + "cause: exam\n")
    text = of_user("resume", "jdoe")
    plan = desk("plan", "-", "--json", stdin=text.encode()).json
    assert all(one["already"] for one in objects(plan)), plan
    desk.serve(of_user("resume", "jdoe") + "cause: exam\n")


def test_a_wrong_sample_is_refused_by_plan_check_and_run_in_the_same_words(desk: Desk) -> None:
    plan = desk("plan", sample("wrong-quota.yaml"), code=3)
    checked = desk("check", sample("wrong-quota.yaml"), "--json", code=3).json
    refused = desk.show(desk.serve(sample("wrong-quota.yaml")))["result"]["problems"]
    assert refused[0].pop("first_refused")  # as one of the samples that were served before
    assert [{k: v for k, v in one.items() if v not in (None, "")} for one in checked] == refused
    assert [one["line"] for one in refused] == [3, 7, 9]
    for one in refused:
        assert f"line {one['line']}: {one['key']}: {one['message']}" in plan.err
    assert plan.out == ""


def test_what_has_expired_is_told_by_plan_check_and_run_in_the_same_words(desk: Desk) -> None:
    text = user("gone") + "expires: 2001-01-01T00:00:00Z\n"
    [checked] = desk("check", "-", "--json", stdin=text.encode(), code=3).json
    [refused] = desk.show(desk.serve(text))["result"]["problems"]
    assert (checked["line"], checked["key"]) == (4, "expires")
    assert {k: v for k, v in checked.items() if v} == refused
    plan = desk("plan", "-", stdin=text.encode(), code=3)
    assert f"line 4: expires: {checked['message']}" in plan.err


def test_mistakes_of_form_and_of_route_are_told_together(desk: Desk) -> None:
    text = user("gone, uid: 7") + "ordr: {key: a, number: 1}\nreason: a\nreason: b\n"
    checked = desk("check", "-", "--json", stdin=text.encode(), code=3).json
    told = [(one["line"], one["key"]) for one in checked]
    assert told == [(3, "user.uid"), (4, "ordr"), (6, "reason")]
    refused = desk.show(desk.serve(text))["result"]["problems"]
    assert [(one["line"], one["key"]) for one in refused] == told
    assert desk("plan", "-", stdin=text.encode(), code=3).err.count("line ") == len(told) + 1


def test_what_a_backend_would_refuse_is_told_by_the_plan(desk: Desk) -> None:
    text = """\
provisioner: 1
action: allocation.provision
allocation:
  id: 50
  resource: cluster-a
  project: {code: CF0050}
  slurm: {qos: [norml], parent: rot}
"""
    said = desk("plan", "-", stdin=text.encode(), code=1).out
    assert "there is no QOS 'norml' (did you mean 'normal'?)" in said
    assert "cluster a has no account 'rot' (did you mean 'root'?), the wanted parent" in said


def test_plan_and_check_write_nothing(tmp_path: Path) -> None:
    desk = served(tmp_path / "site")
    before = everything(desk)
    for name in SERVED:
        desk("plan", sample(name))
        desk("check", sample(name))
    desk("plan", "-", stdin=of_user("suspend", "jdoe").encode())
    assert everything(desk) == before


def everything(desk: Desk) -> dict[str, bytes | str]:
    """Read all that a sandbox keeps; of the journal what it says."""
    files: dict[str, bytes | str] = {
        str(path.relative_to(desk.root)): path.read_bytes()
        for path in desk.root.rglob("*")
        if path.is_file() and "journal" not in path.parts and path.suffix != ".lock"
    }
    with sqlite3.connect(desk.root / "journal/journal.db") as book:
        files["journal"] = "\n".join(book.iterdump())
    return files


def test_a_step_whose_needs_are_not_done_is_known_after_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    said = desk("plan", sample("compute.yaml")).out
    assert "    groups/member/cf0003/jdoe: known after group\n" in said
    assert "    slurm-a/assoc/cf0003/jdoe: known after slurm_account, resolves\n" in said
    assert "    names/user/jdoe: will wait: does not resolve on this host yet\n" in said


def test_a_verb_that_steers_the_queue_changes_no_object(desk: Desk) -> None:
    text = b"provisioner: 1\naction: lane.pause\nlane: slurm\n"
    assert "changes no object" in desk("plan", "-", stdin=text).out
    assert desk("plan", "-", "--json", stdin=text).json == []


def test_a_backend_that_is_away_ends_a_plan_with_5(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    program = desk.root / "slurm/bin/sacctmgr"
    program.write_text("#!/bin/sh\necho 'sacctmgr: error: Connection refused' >&2\nexit 1\n")
    done = desk("plan", sample("compute.yaml"), code=5)
    assert "Unavailable: " in done.out and "Connection refused" in done.out
    assert "what to do: " in done.out


def test_an_object_that_is_another_s_ends_a_plan_with_1(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(sample("user-jdoe.yaml"))
    other = Desk(tmp_path / "other")
    other.set("service: sandbox", "service: another")
    other.set(f"{other.root}/ad.json", f"{desk.root}/ad.json")
    done = other("plan", sample("user-jdoe.yaml"), code=1)
    assert "ad/account/jdoe: Conflict: " in done.out
