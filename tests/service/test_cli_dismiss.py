"""`provisioner dismiss`, and files that are refused again: what failed is counted once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, storage, user

NO_RESOURCE = storage().replace("hpc-storage", "hpc-storge")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with a refused request."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"), NO_RESOURCE)
    return desk


def ids(desk: Desk) -> list[str]:
    return desk("failed", "--ids").out.split()


def files(desk: Desk, place: str) -> list[str]:
    return sorted(path.name for path in (desk.spool / place).iterdir())


def drain(desk: Desk) -> None:
    desk.drain()


def test_a_dismissed_request_waits_for_nobody_and_keeps_its_outcome(desk: Desk) -> None:
    [refused] = ids(desk)
    desk("dismiss", refused, "--reason", "the PI left")
    drain(desk)
    assert (ids(desk), files(desk, "failed")) == ([], [])
    assert any(name.startswith(refused) for name in files(desk, "done"))
    result = desk.show(refused)["result"]
    assert (result["outcome"], "retry" in result) == ("refused", False)
    assert result["dismissed_by"] != refused
    assert "dismissed by root: the PI left" in desk("show", refused).out


def test_the_trail_says_who_dismissed_a_request_and_why(desk: Desk) -> None:
    [refused] = ids(desk)
    desk("dismiss", refused, "--reason", "the PI left")
    drain(desk)
    [*_, last] = desk("audit", "show", refused, "--json").json
    assert (last["kind"], last["facts"]["by"], last["facts"]["reason"]) == (
        "dismissed",
        "root",
        "the PI left",
    )
    desk("audit", "verify")


def test_a_whole_cause_is_dismissed(desk: Desk) -> None:
    desk.serve(NO_RESOURCE.replace("id: 1", "id: 2"))
    [cause] = desk("failed", "--json").json
    desk("dismiss", "--cause", cause["cause"])
    drain(desk)
    assert desk("failed").out == "nothing that failed or was refused needs a person\n"


def test_what_did_not_fail_is_not_dismissed(desk: Desk) -> None:
    done = desk.serve(user("asmith"))
    assert "there is nothing to dismiss" in desk("dismiss", done, code=3).err


def test_a_dismissed_request_can_be_retried(desk: Desk) -> None:
    [refused] = ids(desk)
    desk("dismiss", refused)
    drain(desk)
    desk("retry", refused)
    drain(desk)
    [again] = ids(desk)
    assert again != refused


def test_a_file_that_is_put_back_unchanged_and_refused_again_counts_once(desk: Desk) -> None:
    [refused] = ids(desk)
    [file] = [name for name in files(desk, "failed") if not name.endswith(".result.yaml")]
    (desk.spool / "failed" / file).rename(desk.spool / "staging" / file)
    drain(desk)
    [again] = ids(desk)
    assert again != refused
    assert desk("queue", "--json").json["counts"]["refused"] == 1
    assert desk.show(refused)["result"]["refused_again_as"] == again
    assert [name[:26] for name in files(desk, "failed")] == [again, again]


def test_another_file_with_the_same_text_that_is_refused_counts_once(desk: Desk) -> None:
    desk.serve(NO_RESOURCE, NO_RESOURCE)
    assert len(ids(desk)) == 1
    assert len(files(desk, "failed")) == 2


def test_a_retry_of_what_nobody_fixed_keeps_its_age(desk: Desk) -> None:
    [before] = desk("failed", "--json").json
    for _ in range(2):
        time.sleep(0.01)
        desk("retry", "--all")
        drain(desk)
    [cause] = desk("failed", "--json").json
    assert (cause["count"], cause["oldest"]) == (1, before["oldest"])
    assert cause["ids"] != before["ids"]
