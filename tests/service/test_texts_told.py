"""A title that no backend could hold is served, and what became of it is told where one looks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cli_site import Desk, user

ODD = "Pro\u00adtein \u201cfolding\u201d | '\u05e9\u05dc\u05d5\u05dd' \U0001f468\u200d\U0001f469"
PLAIN = "Protein \u201cfolding\u201d | '\u05e9\u05dc\u05d5\u05dd' \U0001f468\U0001f469"

ALLOCATION = """provisioner: 1
action: allocation.provision
allocation:
  id: ID
  resource: RESOURCE
  project: {code: CF1, title: "TITLE"}
  users: [jdoe]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("texts") / "box")
    desk.serve(user("jdoe"))
    return desk


def of(resource: str, title: str) -> str:
    text = ALLOCATION.replace("ID", str(len(resource)))
    return text.replace("RESOURCE", resource).replace("TITLE", title)


def states(desk: Desk, resource: str) -> dict[str, Any]:
    found = desk("status", f"allocation:{len(resource)}", "--json", code=None).json
    return {one["object"]: one["state"] for one in found}


def test_it_is_done_in_every_backend_as_it_is_cleaned(desk: Desk) -> None:
    for resource in ("hpc-storage", "cluster-a"):
        assert desk.show(desk.serve(of(resource, ODD)))["state"] == "done"
    found = states(desk, "cluster-a")
    assert found["groups/group/cf1"]["description"] == PLAIN
    assert found["slurm-a/account/cf1"]["description"] == " ".join(
        PLAIN.lower().translate(str.maketrans("|'", "  ")).split()
    )


def test_check_plan_and_result_tell_what_was_changed_and_in_which_line(desk: Desk) -> None:
    file = desk.file("odd.yaml", of("cluster-a", ODD))
    said = "line 6: allocation.project.title: left out U+00AD, U+200D"
    checked = desk("check", file).out
    assert checked.startswith("this request is correct")
    assert said in checked
    assert "without quotes, bars" in checked
    assert said in desk("plan", file, code=None).out
    result = desk.show(desk.serve(file))["result"]
    first, second = result["problems"][:2]
    assert (first["line"], first["key"]) == (6, "allocation.project.title")
    assert first["message"] == "left out U+00AD, U+200D"
    assert "step slurm_account (slurm-a), description: without quotes" in second["message"]


@pytest.mark.parametrize("resource", ["hpc-storage", "cluster-a"])
def test_a_title_as_long_as_coldfront_holds_is_kept_whole(desk: Desk, resource: str) -> None:
    result = desk.show(desk.serve(of(resource, "y" * 255)))
    assert result["state"] == "done"
    assert "problems" not in result["result"]
    assert states(desk, resource)["groups/group/cf1"]["description"] == "y" * 255


def test_a_longer_one_is_cut_and_told(desk: Desk) -> None:
    result = desk.show(desk.serve(of("cluster-a", "z" * 900)))
    assert result["state"] == "done"
    assert result["result"]["problems"][0]["message"] == "shortened to 500 of 900 characters"


def test_a_name_that_the_directory_cannot_hold_is_cut_and_told(desk: Desk) -> None:
    person = "provisioner: 1\naction: user.provision\nuser: {name: asmith, given_name: %s}\n"
    result = desk.show(desk.serve(person % ("n" * 70)))["result"]
    assert result["outcome"] == "done"
    [note] = result["problems"]
    assert note["key"] == "user.given_name"
    assert "shortened to 64 of 70 characters" in note["message"]
