"""What people type: names of subjects, tables, wrong values; and what is said of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.cli import doctor
from provisioner.contract import Level
from provisioner.journal.figures.figures import Failing
from tests.support.cli_site import Desk, storage, user

NO_RESOURCE = storage(users="jdoe").replace("hpc-storage", "hpc-storge").replace("id: 1", "id: 9")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Give a sandbox with a person, an allocation, and a refused request about both."""
    desk = Desk(tmp_path_factory.mktemp("names") / "box")
    desk.serve(user("jdoe"), storage(), NO_RESOURCE)
    return desk


def staged(desk: Desk) -> list[str]:
    return [path.name for path in (desk.spool / "staging").iterdir()]


@pytest.mark.parametrize(
    ("name", "subject"), [("jdoe", "user:jdoe"), ("1", "allocation:1"), ("CF1", "project:CF1")]
)
def test_a_subject_is_shown_by_its_name_alone(desk: Desk, name: str, subject: str) -> None:
    assert desk("status", name, code=None).out == desk("status", subject, code=None).out


def test_an_unknown_name_is_told_with_the_nearest(desk: Desk) -> None:
    done = desk("status", "jdo", code=3)
    assert "nothing is claimed for 'jdo'" in done.err
    assert "did you mean 'user:jdoe'?" in done.err


@pytest.mark.parametrize("name", ["jdoe", "user:jdoe"])
def test_lists_and_filters_take_a_name_alone_or_a_subject(desk: Desk, name: str) -> None:
    assert desk("list", "allocations", "--user", name, "--json").json
    assert desk("list", "projects", "--project", "project:CF1", "--json").json
    assert len(desk("failed", "--ids", "--user", name).out.split()) == 1
    assert desk("audit", "show", "--subject", name, "--json").json


def test_a_card_names_the_refused_requests_about_a_person(desk: Desk) -> None:
    [refused] = desk("failed", "--ids").out.split()
    out = " ".join(desk("status", "user:jdoe", code=None).out.split())
    assert "refused: allocation.provision allocation:9: allocation.resource: there is no" in out
    assert f"what to do: provisioner show {refused}" in out


def test_a_person_without_an_account_is_not_called_enabled(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    with desk.service():
        desk("pause", "directory-campus.test", "--wait")
        desk("submit", "-", "--wait", "--timeout", "1", stdin=user("ghost").encode(), code=5)
    assert desk("status", "ghost", code=None).out.startswith("user:ghost  no account\n")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["suspend", "jdo"], "user:jdoe"),
        (["suspend", "jdo", "--dry-run"], "user:jdoe"),
        (["resume", "jdo"], "user:jdoe"),
        (["revoke", "jdo", "1"], "user:jdoe"),
        (["suspend", "allocation:2"], ""),
    ],
)
def test_a_verb_for_a_name_that_nobody_knows_sends_nothing(
    desk: Desk, words: list[str], nearest: str
) -> None:
    done = desk(*words, code=3)
    assert "nothing is claimed for " in done.err
    assert (f"did you mean '{nearest}'?" in done.err) == bool(nearest)
    assert staged(desk) == []


@pytest.mark.parametrize(
    "words", [["suspend", "J D"], ["grant", "J D", "1"], ["set-quota", "1", "--space", "6TiX"]]
)
def test_a_mistake_of_a_short_verb_names_no_line(desk: Desk, words: list[str]) -> None:
    assert "line " not in desk(*words, code=3).err


@pytest.mark.parametrize(
    ("name", "text"),
    [("people.csv", "user\nann\n"), ("people", "user;mail\nann;a@b\n"), ("p.txt", "user,mail\n")],
)
def test_a_table_is_not_sent_as_a_request(desk: Desk, name: str, text: str) -> None:
    done = desk("submit", desk.file(name, text), code=3)
    assert "is a table, not a request" in done.err
    assert f"submit --each {desk.root / name} --template NAME" in done.err
    assert staged(desk) == []


def test_the_trail_says_what_a_refused_file_is_about(desk: Desk) -> None:
    wrong = user("jdoe").replace("user: {name: jdoe}", "user: {name: jdoe, uid: many}")
    refused = desk.serve(wrong)
    assert "user.provision user:jdoe (wrong), asked for by root" in desk("audit", "show").out
    desk("dismiss", refused)


def test_the_trail_says_that_it_has_no_such_request(desk: Desk) -> None:
    assert "the trail has no request 'nosuch'" in desk("audit", "show", "nosuch", code=3).err


def test_lists_sort_numbers_as_people_count(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    numbered = [storage(f"CF{n}").replace("id: 1", f"id: {n}") for n in (401, 41, 5)]
    desk.serve(user("jdoe"), *numbered)
    rows = desk("list", "allocations", "--json").json
    assert [row["allocation"] for row in rows] == ["5", "41", "401"]


def test_a_file_with_a_wrong_name_is_on_the_page_and_in_the_check(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    stray = desk.spool / "staging" / "request.txt"
    stray.write_text(user("jdoe"))
    os.utime(stray, (1_700_000_000, 1_700_000_000))
    assert "never taken from staging because of their names: request.txt" in desk("status").out
    assert desk("status", "--json").json["misnamed"] == ["request.txt"]
    out = desk("health", code=None).out
    assert "1 file in staging never taken because of the name: request.txt" in out


def test_doctor_reports_a_backend_that_answers_and_refuses(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    qos = (
        "provisioner: 1\naction: allocation.provision\nallocation: {id: 7, resource: cluster-a, "
        "project: {code: CF7}, users: [jdoe], slurm: {qos: [nosuch]}}\n"
    )
    desk.serve(user("jdoe"), qos)
    found = desk("doctor", "--json", code=None).json
    [refused] = [f for f in found if "refused" in f["message"]]
    assert (refused["subject"], refused["level"]) == ("slurm-a", "warning")
    said = "its backend refused 1 object when last asked, and has 1 as wanted: "
    assert refused["message"].startswith(said)
    assert refused["advice"] == "provisioner failed --handler slurm-a"


def test_a_backend_of_which_nothing_is_as_wanted_is_an_error() -> None:
    [found] = doctor.refusing({"slurm-a": Failing(3, 0, "denied")})
    assert (found.level, found.subject) == (Level.ERROR, "slurm-a")
    assert found.message == (
        "its backend refused 3 objects when last asked, and has none as wanted: denied"
    )
