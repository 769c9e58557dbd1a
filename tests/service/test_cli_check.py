"""`provisioner check`: every mistake of a file in one round."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk

WRONG = """\
provisioner: 1
action: allocation.provision
allocation:
  id: 41
  resource: hpc-storge
  project: {code: CF0003}
  users: [jdoe, "as mith"]
  quota: {space: 5TX, files: -3}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "box")


def told(desk: Desk, text: str) -> list[tuple[int, str]]:
    """Return line and key of each mistake."""
    listed = desk("check", "-", "--json", stdin=text.encode(), code=3).json
    return [(problem["line"], problem["key"]) for problem in listed]


EVERY = [
    (5, "allocation.resource"),
    (7, "allocation.users[2]"),
    (8, "allocation.quota.files"),
    (8, "allocation.quota.space"),
]


def test_mistakes_of_form_and_of_the_route_are_told_together(desk: Desk) -> None:
    assert told(desk, WRONG) == EVERY


def test_a_wrong_key_that_is_required_hides_no_mistake_of_the_route(desk: Desk) -> None:
    text = WRONG.replace("code: CF0003", "code: '-'")
    assert told(desk, text) == [EVERY[0], (6, "allocation.project.code"), *EVERY[1:]]


def test_a_missing_key_that_is_required_hides_no_mistake_of_the_route(desk: Desk) -> None:
    text = WRONG.replace("  project: {code: CF0003}\n", "")
    assert EVERY[0] in told(desk, text)
    assert (3, "allocation.project") in told(desk, text)


def test_a_mistake_of_a_handler_is_told_beside_one_of_the_form(desk: Desk) -> None:
    text = WRONG.replace("hpc-storge", "cluster-a").replace("5TX", "5TiB")
    text += "  slurm: {specs: 'GrpTRESS=cpu=64'}\n"
    assert (9, "allocation.slurm.specs") in told(desk, text)
    assert EVERY[1] in told(desk, text)


def test_an_entry_of_a_list_keeps_its_number_beside_a_wrong_one(desk: Desk) -> None:
    text = WRONG.replace('[jdoe, "as mith"]', "['A b', jdoe, ok, 'B c']")
    assert [place for place in told(desk, text) if "users" in place[1]] == [
        (7, "allocation.users[1]"),
        (7, "allocation.users[4]"),
    ]


def test_an_expectation_shows_what_to_write(desk: Desk) -> None:
    text = WRONG.replace('[jdoe, "as mith"]', "jdoe")
    out = desk("check", "-", stdin=text.encode(), code=3).out
    assert "'jdoe' is not a list; expected a list, such as [jdoe, asmith]" in out
    assert "'-3' is below 0; expected a whole number, 0 or more" in out
