"""`provisioner check`: every mistake of a file in one round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, sample

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


# What a right request means.

STORAGE = """\
provisioner: 1
action: allocation.provision
allocation:
  id: 41
  resource: hpc-storage
  project: {code: CF0003, title: One, pi: jdoe}
  users: [jdoe]
  quota: {space: 5TiB}
"""


@pytest.fixture
def served(desk: Desk) -> Desk:
    """Give a sandbox in which jdoe's project has 5 TiB."""
    desk.serve(sample("user-jdoe.yaml"), STORAGE)
    return desk


def meant(desk: Desk, text: str, verb: str = "check") -> list[str]:
    return desk(verb, "-", stdin=text.encode(), code=None).out.splitlines()


def test_a_right_request_that_changes_nothing_has_no_notes(served: Desk) -> None:
    assert meant(served, STORAGE) == ["this request is correct"]


@pytest.mark.parametrize("verb", ["check", "plan"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("5TiB", "10MiB", "fs1/fileset/cf0003: quota becomes smaller; `provisioner plan` says"),
        (
            "CF0003",
            "CF0009",
            "project.code: the project changes: CF0003 -> CF0009. No data is moved: ",
        ),
        ("pi: jdoe", "pi: asmith", "project.pi: the leader changes: jdoe -> asmith"),
        (
            "pi: jdoe",
            "pi: jdeo",
            "project.pi: jdeo is not known here: nothing is claimed for user:jdeo; did you mean "
            "'jdoe'?",
        ),
    ],
)
def test_what_a_request_means_is_said_beforehand(
    served: Desk, verb: str, old: str, new: str, said: str
) -> None:
    assert any(line.startswith(said) for line in meant(served, STORAGE.replace(old, new), verb))


def test_a_larger_quota_needs_no_word(served: Desk) -> None:
    assert meant(served, STORAGE.replace("5TiB", "6TiB")) == ["this request is correct"]


def use(desk: Desk, kib: int) -> None:
    """Let the fileset hold something, as mmrepquota would say."""
    faults = {"usage": {"cf0003": {"blockUsage": str(kib)}}}
    (desk.root / "gpfs/faults.json").write_text(json.dumps(faults))


CUT = STORAGE.replace("5TiB", "10MiB")
BELOW = "51.2 MiB in use, above the quota of 10 MiB: nobody can write until files are removed"


def test_plan_and_result_say_that_a_quota_is_below_what_is_in_use(served: Desk) -> None:
    use(served, 52429)
    assert BELOW in " ".join(meant(served, CUT, "plan"))
    result = served.show(served.serve(CUT))["result"]
    assert BELOW in " ".join(problem["message"] for problem in result["problems"])


def test_a_site_may_forbid_a_quota_below_what_is_in_use(served: Desk) -> None:
    served.set("filesystem: fs1", "filesystem: fs1\n    below_use: refuse")
    use(served, 52429)
    assert "this site forbids such a cut" in " ".join(meant(served, CUT, "plan"))
    result = served.show(served.serve(CUT))["result"]
    assert result["outcome"] == "failed"
    [fileset] = desk_objects(served)
    assert fileset["state"]["block_hard"] == 5 << 30


def desk_objects(desk: Desk) -> list[dict[str, Any]]:
    listed = desk("status", "allocation:41", "--json", code=None).json
    return [one for one in listed if one["object"] == "fs1/fileset/cf0003"]
