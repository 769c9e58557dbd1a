"""Blank requests, and the short verbs that write a request and submit it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from provisioner.drafts.blanks import blank
from provisioner.request.actions import ACTIONS
from provisioner.request.documents import parse
from provisioner.request.request import parse_request
from tests.support.cli_site import Desk, call, of_user, served, storage

VALUES = {
    "name": "jdoe",
    "code": "CF0003",
    "id": "41",
    "resource": "hpc-storage",
    "user": "jdoe",
    "key": "a",
    "number": "1",
    "file": "a.users",
    "size": "5",
    "sha256": "0" * 64,
    "request": "01JGT0V9Q3M4R5S6T7V8W9X0Y1",
    "lane": "slurm",
    "uid": "20001",
    "gid": "20001",
    "fairshare": "5",
    "files": "5",
    "space": "5TiB",
    "email": "jdoe@campus.test",
    "kind": "independent",
    "digest": "0" * 64,
    "kinds": "[user]",
    "groups": "[g1]",
    "qos": "[normal]",
    "partitions": "[gpu]",
    "users": "[jdoe]",
    "managers": "[asmith]",
    "attributes": "{a: b}",
    "path": "/gpfs/a",
    "home": "/home/a",
    "shell": "/bin/bash",
    "specs": "GrpTRES=cpu=64",
    "user_specs": "MaxJobs=1",
    "on_behalf_of": "jdoe",
    "pi": "jdoe",
    "parent": "root",
    "account": "a",
    "fileset": "a",
    "leaves": "b",
    "adopt": "true",
    "differing": "true",
    "expires": '"2099-12-24T00:00:00Z"',
    "not_before": '"2026-01-24T00:00:00Z"',
    "since": "7",
    "as_of": '"2026-01-24T00:00:00Z"',
    "ends": '"2099-12-24T00:00:00Z"',
    "objects": "[slurm-a/assoc/a/b]",
}
"""What a person may write for each key that takes no free text."""


def filled(text: str) -> str:
    """Fill in every key that is not hidden and has no value."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"( *)(\w+):  # ", line)
        deeper = number + 1 < len(lines) and match and lines[number + 1].startswith(f"{match[1]}  ")
        if match and not deeper:
            lines[number] = f"{match[1]}{match[2]}: {VALUES.get(match[2], 'some text')}"
    return "\n".join(lines)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a sandbox in which every sample was served; its tests send nothing, or drop alone."""
    return served(tmp_path_factory.mktemp("asking") / "site")


def shown(desk: Desk, *words: str, code: int | None = 0) -> Any:
    """Return the request that a verb would send."""
    out = desk(*words, "--dry-run", code=code).out
    return parse(out.partition("\n\n")[0].encode()).value


# Blank requests.


@pytest.mark.parametrize("action", ACTIONS)
def test_a_blank_is_right_when_what_is_needed_is_filled_in(action: str) -> None:
    parse_request(filled(blank(action)).encode())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_key_of_a_blank_is_one_that_the_action_takes(action: str) -> None:
    whole = blank(action)
    while re.search(r"^ *# \w+:  # ", whole, re.M):
        whole = re.sub(r"^( *)# (?= *(?:# )*\w+:  # )", r"\1", whole, flags=re.M)
    if "users_file:" in whole:  # it stands in place of `users`
        whole = re.sub(r"^ *users:.*\n", "", whole, flags=re.M)
    if "manifest:" in whole:  # either a manifest or some objects
        whole = re.sub(r"^ *objects:.*\n", "", whole, flags=re.M)
    request = parse_request(filled(whole).encode())
    assert request.action == action
    assert request.reason == "some text"


def test_a_blank_says_what_is_needed_and_what_each_key_means() -> None:
    text = call("new", "user.provision").out
    assert text.startswith("# user.provision: Make a person's account")
    assert "\n  name:  # needed; a user's login name; such as jdoe\n" in text
    assert "\n  # email:  # mail address; such as jdoe@example.org\n" in text


def test_a_blank_that_was_not_filled_in_names_what_is_missing(desk: Desk) -> None:
    path = desk.file("blank.yaml", blank("allocation.provision"))
    out = desk("check", path, code=3).out
    assert [
        key for key in ("id", "resource", "project.code") if f"allocation.{key}: " not in out
    ] == []


def test_a_blank_is_written_to_a_new_file_only(tmp_path: Path) -> None:
    path = str(tmp_path / "jdoe.yaml")
    assert f"provisioner check {path}" in call("new", "user.provision", path).out
    done = call("new", "user.provision", path)
    assert done.code == 3
    assert f"{path} exists" in done.err


def test_without_an_action_all_are_listed() -> None:
    assert [line.split()[0] for line in call("new").out.splitlines()] == list(ACTIONS)
    done = call("new", "user.provison")
    assert "did you mean 'user.provision'" in done.err


# Short verbs.


@pytest.mark.parametrize("verb", ["suspend", "resume"])
@pytest.mark.parametrize(
    ("subject", "action", "part"),
    [
        ("jdoe", "user", {"user": {"name": "jdoe"}}),
        ("user:jdoe", "user", {"user": {"name": "jdoe"}}),
        ("allocation:41", "allocation", {"allocation": {"id": "41"}}),
    ],
)
def test_access_is_closed_and_opened_by_a_verb(
    desk: Desk, verb: str, subject: str, action: str, part: dict[str, Any]
) -> None:
    request = shown(desk, verb, subject, "--cause", "leave", "--reason", "ticket 1")
    head = {"provisioner": "1", "action": f"{action}.{verb}"}
    assert request == {**head, **part, "cause": "leave", "reason": "ticket 1"}


def test_a_dry_run_shows_the_plan_and_sends_nothing(desk: Desk) -> None:
    out = desk("suspend", "jdoe", "--dry-run").out
    assert "ad/account/jdoe: disable the account" in out
    assert list((desk.spool / "staging").iterdir()) == []


def test_a_user_is_let_in_as_the_allocation_was_asked_for(desk: Desk) -> None:
    request = shown(desk, "grant", "bmiller", "42")
    assert request["action"] == "membership.add"
    allocation = request["membership"]["allocation"]
    assert (allocation["resource"], allocation["project"]["code"]) == ("cluster-a", "CF0003")
    assert "users" not in allocation


def test_a_user_is_taken_out(desk: Desk) -> None:
    request = shown(desk, "revoke", "asmith", "allocation:42")
    assert request["membership"] == {"user": "asmith", "allocation": {"id": "42"}}


def test_a_quota_changes_and_the_rest_stays(desk: Desk) -> None:
    out = desk("set-quota", "41", "--space", "6TiB", "--dry-run").out
    request = parse(out.partition("\n\n")[0].encode()).value["allocation"]
    assert request["quota"] == {"space": "6TiB", "files": "2000000"}
    assert request["users"] == ["jdoe", "asmith"]
    assert "fs1/fileset/cf0003: quota 5 TiB -> 6 TiB" in out


def test_a_new_quota_keeps_who_was_added_and_leaves_out_who_was_removed(tmp_path: Path) -> None:
    desk = served(tmp_path / "site")
    desk.serve(of_user("provision", "bmiller"))
    with desk.service():
        desk("grant", "bmiller", "41", "--wait")
        desk("revoke", "jdoe", "41", "--wait")
    users = shown(desk, "set-quota", "41", "--files", "5")["allocation"]["users"]
    assert users == ["asmith", "bmiller"]


WRONG = {
    "a project": (["suspend", "project:CF1"], 3, "is for a user or an allocation"),
    "no user name": (["suspend", "J D"], 3, "not a user name"),
    "no allocation": (["grant", "jdoe", "99"], 3, "no request has provisioned allocation:99"),
    "no limit": (["set-quota", "41"], 2, "give --space, --files, or both"),
    "no quota there": (
        ["set-quota", "42", "--space", "6TiB"],
        3,
        "allocation:42 is on cluster-a, where no handler takes a quota of space",
    ),
    "no size": (["set-quota", "41", "--space", "5TX"], 3, "'5TX' is not a size"),
}


@pytest.mark.parametrize(("words", "code", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_before_anything_is_sent(
    desk: Desk, words: list[str], code: int, said: str
) -> None:
    done = desk(*words, code=code)
    assert said in re.sub(r"[\s│]+", " ", done.out + done.err)
    assert list((desk.spool / "staging").iterdir()) == []


def test_a_short_verb_waits_for_its_outcome(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(of_user("provision", "jdoe"))
    with desk.service():
        out = desk("suspend", "jdoe", "--cause", "leave", "--wait").out
        assert "done; more: provisioner show " in out
        desk("resume", "jdoe", "--cause", "leave", "--wait")


def test_who_last_asked_is_named_if_it_was_another(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    with desk.config.open("a") as file:
        file.write("policy:\n  rules:\n  - {who: ['*'], actions: ['*'], others: true}\n")
    desk("submit", "-", stdin=storage().encode())
    [staged] = (desk.spool / "staging").iterdir()
    os.chown(staged, 65534, -1)
    desk("run", "--drain", "--patience", "1", code=None)
    done = desk("set-quota", "1", "--space", "2TiB", "--dry-run", code=None)
    assert "allocation:1 was last asked for by nobody, who may ask" in done.err
