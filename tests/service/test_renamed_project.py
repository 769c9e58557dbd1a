"""An allocation whose project is called otherwise: it is held before its data are left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk, storage, user

STORAGE = storage("CODE")
RENAMED = STORAGE.replace("CODE", "CF1new")
LEAVES = RENAMED + "  storage: {leaves: CF1}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with an allocation of CF1 on storage."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk.serve(STORAGE.replace("CODE", "CF1"))
    return desk


def fileset(desk: Desk) -> tuple[str, str]:
    """Return the fileset of the allocation, and its mode."""
    status = desk("status", "allocation:1", "--json", code=None).json
    [found] = [one for one in status if one["object"].startswith("fs1/")]
    return found["object"], found["state"]["mode"]


def held(desk: Desk, text: str) -> str:
    """Submit a request that is held; return why."""
    desk("submit", "-", stdin=text.encode())
    desk.drain()
    [waiting] = desk("queue", "--json").json["requests"]
    assert waiting["state"] == "held"
    return str(waiting["held"])


def test_a_request_that_would_leave_a_fileset_for_another_is_held_and_says_how_to_keep_it(
    desk: Desk,
) -> None:
    why = held(desk, RENAMED)
    assert "it would leave fs1/fileset/cf1 for fs1/fileset/cf1new" in why
    assert fileset(desk) == ("fs1/fileset/cf1", "2770")


def test_check_says_so_beforehand(desk: Desk) -> None:
    said = desk("check", desk.file("renamed.yaml", RENAMED)).out
    assert "it would be held: it would leave fs1/fileset/cf1 for fs1/fileset/cf1new" in said
    assert "allocation.storage.leaves" in said


def test_one_of_another_project_is_held_as_well(desk: Desk) -> None:
    moved = STORAGE.replace("CODE", "CF2")
    assert "it would leave fs1/fileset/cf1 for fs1/fileset/cf2" in held(desk, moved)


def test_what_another_allocation_keeps_is_left_without_asking(desk: Desk) -> None:
    desk.serve(STORAGE.replace("CODE", "CF1").replace("id: 1", "id: 2"))
    assert desk.show(desk.serve(RENAMED))["state"] == "done"


def test_what_was_never_made_is_left_without_asking(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    gpfs = desk.break_off("gpfs")
    desk("submit", "-", stdin=STORAGE.replace("CODE", "CF1").encode())
    desk("run", "--drain", "--patience", "2", code=None)
    gpfs.rename(desk.root / "gpfs")
    assert "held" not in desk("check", desk.file("renamed.yaml", RENAMED)).out


def test_one_that_says_what_it_leaves_goes_on_and_plan_and_result_say_where_the_data_stay(
    desk: Desk,
) -> None:
    planned = desk("plan", desk.file("renamed.yaml", LEAVES), code=None).out
    assert "close cf1, which nobody claims any more; no data is moved, it stays in" in " ".join(
        planned.split()
    )
    result = desk.show(desk.serve(LEAVES))["result"]
    [note] = [one["message"] for one in result["problems"]]
    assert "fs1/fileset/cf1, " in note
    assert "allocation.storage.fileset" in note
    assert fileset(desk)[0] == "fs1/fileset/cf1new"


def test_one_that_names_another_than_it_leaves_is_held(desk: Desk) -> None:
    assert "fs1/fileset/cf1" in held(desk, LEAVES.replace("leaves: CF1", "leaves: CF9"))


def test_an_allocation_that_names_its_fileset_keeps_it(desk: Desk) -> None:
    desk.serve(RENAMED + "  storage: {fileset: cf1}\n")
    desk.serve("provisioner: 1\naction: reconcile\n")
    assert fileset(desk) == ("fs1/fileset/cf1", "2770")


def test_a_suspended_one_is_held_too(desk: Desk) -> None:
    desk.serve("provisioner: 1\naction: allocation.suspend\nallocation: {id: 1}\n")
    assert "fs1/fileset/cf1" in held(desk, RENAMED)


def test_a_user_who_leaves_leaves_nothing_to_tell(desk: Desk) -> None:
    desk.serve(user("asmith"))
    desk.serve(STORAGE.replace("CODE", "CF1").replace("[jdoe]", "[jdoe, asmith]"))
    result = desk.show(desk.serve(STORAGE.replace("CODE", "CF1")))["result"]
    assert "problems" not in result
