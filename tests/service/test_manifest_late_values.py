"""A manifest's line is compared whole: also what of it is known only after another step."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, user

TIB = 1 << 40


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with an allocation on storage, whose fileset has its group's number."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    reconcile(desk, line())
    return desk


def line(quota: str = "1TiB", **more: Any) -> dict[str, Any]:
    """Write an allocation on storage as a line of a manifest."""
    project = {"code": "CF1", "title": "One", "pi": "jdoe"}
    limits = {"space": quota} if quota else {}
    allocation = {
        "id": "1",
        "resource": "hpc-storage",
        "project": project,
        "users": ["jdoe"],
        "quota": {**limits, **more},
    }
    return {"action": "allocation.provision", "allocation": allocation}


def reconcile(desk: Desk, *lines: dict[str, Any]) -> str:
    """Send a manifest and serve it; return what its writer reads."""
    send(desk, *lines)
    desk.drain()
    return told(desk)


def reconcile_in_part(desk: Desk, *lines: dict[str, Any]) -> str:
    """Send a manifest and serve what can be; return what its writer reads."""
    send(desk, *lines)
    desk.begin()
    return told(desk)


def send(desk: Desk, *lines: dict[str, Any]) -> None:
    """Send a manifest."""
    text = "\n".join(map(json.dumps, lines)).encode() + b"\n"
    (desk.spool / "staging" / "all.jsonl").write_bytes(text)
    named = {"file": "all.jsonl", "size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    request = {"provisioner": 1, "action": "reconcile", "manifest": named}
    desk("submit", "-", stdin=json.dumps(request).encode())


def told(desk: Desk) -> str:
    """Return what the writer of the newest manifest reads."""
    [newest] = [r for r in ended(desk) if r["action"] == "reconcile"][-1:]
    problems = desk.show(newest["id"])["result"]["problems"]
    return " ".join(problem["message"] for problem in problems)


def ended(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk("queue", "--ended", "20", "--json").json["ended"]
    return found


def waiting(desk: Desk) -> list[str]:
    """Return the ids of the allocation's open requests."""
    listed = desk("queue", "--json").json["requests"]
    return [each["id"] for each in listed if each["subject"] == "allocation:1"]


def quota(desk: Desk) -> dict[str, Any]:
    """Return the state of the fileset."""
    status = desk("status", "allocation:1", "--json", code=None).json
    [found] = [each for each in status if each["object"].startswith("fs1/")]
    state: dict[str, Any] = found["state"]
    return state


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        (line("5TiB"), "block_hard", 5 * TIB // 1024),
        (line(files=5000), "files_hard", 5000),
    ],
    ids=["space", "files"],
)
def test_a_changed_quota_is_asked_for(
    desk: Desk, changed: dict[str, Any], name: str, value: int
) -> None:
    assert "1 requested" in reconcile(desk, changed)
    assert quota(desk)[name] == value


def test_a_quota_that_is_listed_no_more_is_taken_back(desk: Desk) -> None:
    assert "1 requested" in reconcile(desk, line(files=5000))
    assert "1 requested" in reconcile(desk, line())
    assert not quota(desk).get("files_hard")


def test_what_is_as_listed_is_not_asked_for_again(desk: Desk) -> None:
    person = {"name": "asmith", "full_name": "Ann Smith", "email": "asmith@example.org"}
    listed = line(), {"action": "user.provision", "user": person}
    assert "1 requested" in reconcile(desk, *listed)
    assert "0 requested" in reconcile(desk, *listed)


def test_a_changed_quota_of_what_still_waits_is_asked_for(desk: Desk) -> None:
    lanes = {row["lane"] for row in desk("handlers", "--json").json["instances"]} - {"fs1"}
    for lane in lanes:
        desk("submit", "-", stdin=pause(lane))
    assert "1 requested" in reconcile_in_part(desk, line("2TiB"))
    assert quota(desk)["block_hard"] == TIB // 1024, "its step waits for the group's"
    assert "1 requested" in reconcile_in_part(desk, line("3TiB"))
    waits = waiting(desk)
    reconcile_in_part(desk, line("3TiB"))
    assert waiting(desk) == waits, "it is not asked for again"
    for lane in lanes:
        desk("submit", "-", stdin=pause(lane, "unpause"))
    desk.drain()
    assert quota(desk)["block_hard"] == 3 * TIB // 1024


def pause(lane: str, verb: str = "pause") -> bytes:
    return f"provisioner: 1\naction: lane.{verb}\nlane: {lane}\n".encode()
