"""An allocation whose project is called otherwise: what was made under the old code is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.cli_site import Desk, user

STORAGE = """provisioner: 1
action: allocation.provision
allocation:
  id: 1
  resource: hpc-storage
  project: {code: CODE, title: One, pi: jdoe}
  users: [jdoe]
  quota: {space: 1TiB}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with an allocation of CF1 on storage."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk.serve(STORAGE.replace("CODE", "CF1"))
    return desk


def test_plan_and_result_say_where_the_data_stay_and_what_to_type(desk: Desk) -> None:
    renamed = STORAGE.replace("CODE", "CF1new")
    planned = desk("plan", desk.file("renamed.yaml", renamed), code=None).out
    assert "close cf1, which nobody claims any more; its data stay in" in " ".join(planned.split())
    result = desk.show(desk.serve(renamed))["result"]
    [note] = [one["message"] for one in result["problems"]]
    assert "fs1/fileset/cf1, " in note
    assert "allocation.storage.fileset" in note


def test_an_allocation_that_names_its_fileset_keeps_it(desk: Desk) -> None:
    kept = STORAGE.replace("CODE", "CF1new") + "  storage: {fileset: cf1}\n"
    desk.serve(kept)
    desk.serve("provisioner: 1\naction: reconcile\n")
    [fileset] = [
        one
        for one in desk("status", "allocation:1", "--json", code=None).json
        if one["object"].startswith("fs1/")
    ]
    assert fileset["object"] == "fs1/fileset/cf1"
    assert fileset["state"]["mode"] == 0o2770


def test_a_user_who_leaves_leaves_nothing_to_tell(desk: Desk) -> None:
    desk.serve(user("asmith"))
    desk.serve(STORAGE.replace("CODE", "CF1").replace("[jdoe]", "[jdoe, asmith]"))
    result = desk.show(desk.serve(STORAGE.replace("CODE", "CF1")))["result"]
    assert "problems" not in result
