"""A suspension, a resume or a removal that found nothing to do says so, and is not plain "done"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with one person, gruber."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("gruber"))
    return desk


def of_user(verb: str, name: str, cause: str = "") -> str:
    text = f"provisioner: 1\naction: user.{verb}\nuser: {{name: {name}}}\n"
    return f"{text}cause: {cause}\n" if cause else text


LEAVER = """provisioner: 1
action: membership.remove
membership: {allocation: {id: 4111}, user: x}
"""
ARCHIVE = "provisioner: 1\naction: project.archive\nproject: {code: CF99}\n"
CLOSE = "provisioner: 1\naction: allocation.suspend\nallocation: {id: 4111}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (of_user("suspend", "ghost1"), "nothing is claimed for user:ghost1"),
        (of_user("resume", "ghost1"), "it is not suspended, and nothing is claimed for"),
        (of_user("resume", "gruber"), "user:gruber: it is not suspended"),
        (CLOSE, "nothing is claimed for allocation:4111"),
        (LEAVER, "nothing was claimed for allocation:4111/user:x"),
        (ARCHIVE, "nothing was claimed for project:CF99"),
    ],
)
def test_what_found_nothing_to_do_has_an_outcome_of_its_own(
    desk: Desk, text: str, said: str
) -> None:
    result = desk.show(desk.serve(text))["result"]
    assert result["outcome"] == "unmatched"
    assert said in result["problems"][0]["message"]


def test_a_mistyped_name_gets_the_nearest_one(desk: Desk) -> None:
    result = desk.show(desk.serve(of_user("suspend", "grubre")))["result"]
    assert result["problems"][0]["message"] == (
        "nothing is claimed for user:grubre; did you mean user:gruber?"
    )


def test_the_result_file_says_it_first(desk: Desk) -> None:
    request = desk.serve(of_user("suspend", "grubre"))
    [file] = (desk.spool / "done").glob(f"*{request}*.result.yaml")
    first = file.read_text().splitlines()[0]
    assert first.startswith("# Done, but there was nothing to do. user.suspend of user:grubre")


def test_the_queue_tells_it_from_done(desk: Desk) -> None:
    desk.serve(of_user("suspend", "grubre"))
    assert re.search(r"unmatched +user.suspend user:grubre", desk("queue", "--ended", "1").out)
    [ended] = desk("queue", "--ended", "1", "--json").json["ended"]
    assert (ended["state"], ended["outcome"]) == ("done", "unmatched")


def test_a_wait_for_it_ends_with_a_code_of_its_own(desk: Desk) -> None:
    with desk.service():
        done = desk("submit", "-", "--wait", stdin=of_user("suspend", "grubre").encode(), code=6)
        assert "did you mean user:gruber?" in done.out
        desk("submit", "-", "--wait", stdin=of_user("suspend", "gruber").encode())


def test_a_suspension_in_advance_is_still_in_force(desk: Desk) -> None:
    desk.serve(of_user("suspend", "later", "left"))
    failed = desk.show(desk.serve(user("later")))["result"]
    assert failed["outcome"] == "failed"


def test_a_resume_without_the_cause_fails_and_names_the_causes(desk: Desk) -> None:
    desk.serve(of_user("suspend", "gruber", "left"), of_user("suspend", "gruber", "exam"))
    result = desk.show(desk.serve(of_user("resume", "gruber")))["result"]
    assert result["outcome"] == "failed"
    [problem] = result["problems"]
    assert problem["key"] == "cause"
    assert "root has not suspended user:gruber for 'request'" in problem["message"]
    assert set(problem["expected"].split(" or ")) == {"cause: left", "cause: exam"}


def test_a_resume_of_one_of_two_causes_is_done_and_says_what_is_left(desk: Desk) -> None:
    desk.serve(of_user("suspend", "gruber", "left"), of_user("suspend", "gruber", "exam"))
    result = desk.show(desk.serve(of_user("resume", "gruber", "exam")))["result"]
    assert result["outcome"] == "done"
    assert [problem["message"] for problem in result["problems"]] == [
        "user:gruber is still suspended by root: left"
    ]
