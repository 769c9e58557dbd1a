"""`status` says what all backends have of a subject, side by side."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, clean, of_user, sample, served


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Give the command line of a site that served the samples."""
    return served(tmp_path_factory.mktemp("status") / "site")


def test_what_all_backends_say_of_a_person_stands_side_by_side(desk: Desk) -> None:
    said = desk("status", "user:jdoe", "--all").out
    [heads, _, *rows] = [line for line in said.splitlines() if line.strip()]
    assert heads.split() == ["ad", "lds", "names"]
    uid = next(row.split() for row in rows if row.split()[0] == "uid")
    assert len(set(uid[1:])) == 1
    assert "differ" not in said


def test_what_differs_between_backends_is_marked(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(sample("user-jdoe.yaml"))
    directory = desk.root / "lds.json"
    directory.write_text(directory.read_text().replace("/bin/bash", "/bin/zsh"))
    done = desk("status", "user:jdoe", "--all", code=1)
    assert re.search(r"shell +/bin/bash +/bin/zsh +/bin/bash +differ", done.out)
    assert "/bin/zsh -> /bin/bash" in done.out


def test_two_users_of_an_allocation_are_not_held_against_each_other(desk: Desk) -> None:
    assert "differ" not in desk("status", "allocation:41", "--all").out


def test_a_person_whom_nobody_claims_is_looked_for_all_the_same(desk: Desk) -> None:
    done = desk("status", "user:nobody1")
    assert done.out.startswith("no request claims anything for user:nobody1; the backends have")
    assert re.search(r"ad/account/nobody1 +nobody +not there", done.out)


def test_a_project_is_shown_with_all_its_allocations(desk: Desk) -> None:
    found = desk("status", "project:CF0003", "--json", code=None).json
    wanted_by = {
        one["object"]: {claim["by"].partition("/")[0] for claim in one["claims"]} for one in found
    }
    assert wanted_by["fs1/fileset/cf0003"] == {"allocation:41"}
    assert wanted_by["slurm-a/account/cf0003"] == {"allocation:42"}
    assert wanted_by["groups/group/cf0003"] == {"allocation:41", "allocation:42"}
    assert len(wanted_by) == len(found)
    said = desk("status", "project:CF0003", "--all", code=None).out
    assert all(key in said for key in wanted_by)


def test_an_allocation_is_of_the_project_that_its_newest_request_names(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    text = Path(sample("storage.yaml")).read_text()
    desk.serve(sample("user-jdoe.yaml"), sample("user-asmith.json"), text)
    refused = text.replace("hpc-storage", "nowhere")
    moved = text.replace("CF0003", "CF0004") + "  storage: {leaves: cf0003}\n"
    desk.serve(moved, refused)
    assert "fs1/fileset/cf0004" in desk("status", "project:CF0004", "--all", code=None).out
    none = "no request claims anything for project:{}, nor for any of its allocations\n"
    assert desk("status", "project:CF0003", code=3).out.startswith(none.format("CF0003"))
    assert desk("status", "project:CF", code=3).out == none.format("CF")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("nosuch", "user:NAME, project:CODE or allocation:ID"),
        ("user:", "user:NAME, project:CODE or allocation:ID"),
        ("host:x", "user:NAME, project:CODE or allocation:ID"),
        ("user:../x", "a user name"),
        ("user:\x1b[31m", "a user name"),
    ],
)
def test_what_is_no_subject_is_refused(desk: Desk, subject: str, expected: str) -> None:
    done = desk("status", subject, code=3)
    assert expected in done.err
    assert clean(done.err)


def test_drift_is_missing_and_ends_with_1(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(sample("user-jdoe.yaml"))
    desk.break_off("home/jdoe")
    [home] = [
        one
        for one in desk("status", "user:jdoe", "--json", code=1).json
        if one["object"] == "homes/home/jdoe"
    ]
    [missing] = home["missing"]
    assert missing.startswith(f"make {desk.root}/home/jdoe for ")


def test_a_backend_that_is_away_is_no_answer_and_ends_with_5(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(sample("user-jdoe.yaml"), sample("compute.yaml"))
    program = desk.root / "slurm/bin/sacctmgr"
    program.write_text("#!/bin/sh\necho 'error: Connection refused' >&2\nexit 1\n")
    done = desk("status", "allocation:42", "--all", code=5)
    assert re.search(r"slurm-a/account/cf0003 +allocation:42 +no answer ", done.out)


def test_a_suspended_claim_is_marked(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(sample("user-jdoe.yaml"))
    request = desk.serve(of_user("suspend", "jdoe"))
    said = desk("status", "user:jdoe", "--all").out
    assert "user:jdoe (suspended)" in said
    assert said.startswith("user:jdoe: suspended by root: request, since 20")
    [one] = desk("status", "user:jdoe", "--json").json[0]["suspensions"]
    assert (one["subject"], one["source"], one["cause"], one["request"]) == (
        "user:jdoe",
        "root",
        "request",
        request,
    )
