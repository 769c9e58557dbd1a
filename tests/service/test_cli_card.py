"""`status` as a card: who, access, and only what is wrong; the site on one page; and lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.cards.card import files_text
from tests.support.cli_site import Desk, of_user, sample, served, storage, user


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Give the command line of a site that served the samples."""
    return served(tmp_path_factory.mktemp("card") / "site")


@pytest.fixture
def fresh(tmp_path: Path) -> Desk:
    """Give the command line of a site of its own, with jdoe."""
    desk = Desk(tmp_path / "box")
    desk.serve(sample("user-jdoe.yaml"))
    return desk


def card(desk: Desk, subject: str, code: int = 0) -> list[str]:
    return desk("status", subject, code=code).out.splitlines()


def test_a_person_is_on_a_card(desk: Desk) -> None:
    head, *rest = card(desk, "user:jdoe")
    assert head == "user:jdoe  Jane Doe  enabled"
    text = " ".join(" ".join(rest).split())
    assert "account: uid 2000" in text
    assert "shell /bin/bash" in text
    assert "groups: cf0003" in text
    assert "CF0003 Protein folding: cluster-a, hpc-storage 0 KiB of 5 TiB" in text
    assert "as wanted: 6 objects in 6 backends" in rest


def test_a_project_is_on_a_card_with_its_leader_people_and_allocations(desk: Desk) -> None:
    assert card(desk, "project:CF0003") == [
        "project:CF0003  Protein folding  enabled",
        "PI:       jdoe",
        "2 people: asmith, jdoe",
        "  allocation:41  hpc-storage 0 KiB of 5 TiB, 1 of 2,000,000 files",
        "  allocation:42  cluster-a",
        "as wanted: 9 objects in 4 backends",
    ]


def test_an_allocation_is_on_a_card_without_the_others_of_its_project(desk: Desk) -> None:
    text = "\n".join(card(desk, "allocation:41"))
    assert "hpc-storage 0 KiB of 5 TiB" in text
    assert "allocation:42" not in text


def test_everything_has_sizes_and_modes_as_people_write_them(desk: Desk) -> None:
    # A line breaks where the directory's path is long.
    said = " ".join(desk("status", "allocation:41", "--all").out.split())
    assert "quota 0 KiB of 5 TiB" in said
    assert "mode 2770" in said
    assert "special:owner@" not in said


def test_a_suspended_person_is_said_to_be_with_who_and_why(fresh: Desk) -> None:
    request = fresh.serve(of_user("suspend", "jdoe") + "cause: leave\nreason: ticket 12\n")
    head, why, *rest = card(fresh, "user:jdoe")
    assert head == "user:jdoe  Jane Doe  suspended"
    assert why.startswith("  suspended by root: ticket 12 [leave], since 20")
    assert request in " ".join((why, *rest))
    assert "  disabled in ad, lds" in rest
    assert "but" not in " ".join(rest)


def test_a_suspension_that_an_account_is_given_another_shell_for_is_as_wanted(fresh: Desk) -> None:
    fresh.serve(of_user("suspend", "jdoe"))
    said = fresh("status", "user:jdoe", "--all").out
    assert "differ, as wanted" in said
    assert "enabled no" in said


def test_a_suspension_through_a_portal_names_the_person(fresh: Desk) -> None:
    fresh.config.write_text(fresh.config.read_text() + "policy: {portals: [root]}\n")
    fresh.serve(of_user("suspend", "jdoe") + "on_behalf_of: admin\nreason: revoked\n")
    assert card(fresh, "user:jdoe")[1].startswith("  suspended by admin (root): revoked [request]")


def test_a_suspended_name_for_which_nothing_was_ever_claimed_has_a_card(fresh: Desk) -> None:
    fresh.serve(of_user("suspend", "grubre"))
    head, why, *_ = card(fresh, "user:grubre")
    assert head == "user:grubre  suspended"
    assert why.startswith("  suspended by root: request")


def test_what_is_missing_comes_with_what_to_type(fresh: Desk) -> None:
    fresh.break_off("home/jdoe")
    text = "\n".join(card(fresh, "user:jdoe", code=1))
    assert f"homes/home/jdoe: make {fresh.root}/home/jdoe" in " ".join(text.split())
    command = text.partition("what to do: ")[2].splitlines()[0]
    assert command == "provisioner drift --repair"


def test_what_it_says_to_type_has_the_missing_made(fresh: Desk) -> None:
    fresh.break_off("home/jdoe")
    fresh("drift", "--repair", "--yes")
    fresh("run", "--drain")
    assert card(fresh, "user:jdoe")[-1].startswith("as wanted: ")


def test_of_a_request_that_failed_the_retry_is_what_to_type(fresh: Desk) -> None:
    fresh.serve(of_user("suspend", "later"))
    failed = fresh.serve(user("later"))
    text = "\n".join(card(fresh, "user:later", code=1))
    assert f"provisioner retry {failed}" in text
    assert "its request failed" in text


def test_a_person_in_13_projects_fits_one_screen(fresh: Desk) -> None:
    requests = []
    for number in range(13):
        text = storage(f"CF{number:04}").replace("id: 1", f"id: {number}")
        requests.append(text.replace("title: One", "title: A project with a title of some length"))
        requests.append(
            text.replace("id: ", "id: 1")
            .replace("hpc-storage", "cluster-a")
            .replace("  quota: {space: 1TiB}\n", "")
        )
    fresh.serve(*requests)
    lines = card(fresh, "user:jdoe")
    assert len(lines) <= 40
    assert max(len(line) for line in lines if str(fresh.root) not in line) <= 80
    assert sum(line.startswith("  CF00") for line in lines) == 13


def test_the_site_is_on_one_page(desk: Desk) -> None:
    said = desk("status").out
    assert said.splitlines() == [
        "sandbox: no service on this host serves it",
        "people 2, projects 1, allocations 2",
        "allocations by resource: cluster-a 1, hpc-storage 1",
        "objects by handler: ad 2, fs1 1, groups 3, homes 2, lds 2, names 2, slurm-a 3",
        "no request is open",
        "1 request failed or refused, 1 cause: provisioner failed",
    ]


def test_the_site_for_programs(desk: Desk) -> None:
    page = desk("status", "--json").json
    assert page["counts"] == {"people": 2, "projects": 1, "allocations": 2}
    assert (page["failed"], page["open"], page["served_by"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["users"], ["asmith", "jdoe"]),
        (["users", "--project", "CF0003"], ["asmith", "jdoe"]),
        (["users", "--project", "CF9"], []),
        (["users", "--suspended"], []),
        (["projects", "--user", "jdoe"], ["CF0003"]),
        (["projects", "--user", "nobody1"], []),
        (["allocations"], ["41", "42"]),
        (["allocations", "--resource", "cluster-a"], ["42"]),
        (["resources"], ["cluster-a", "cluster-b", "hpc-storage"]),
    ],
)
def test_what_there_is_is_listed(desk: Desk, words: list[str], names: list[str]) -> None:
    rows = desk("list", *words, "--json").json
    assert [row[words[0].removesuffix("s")] for row in rows] == names
    lines = desk("list", *words).out.splitlines()
    noun = words[0].removesuffix("s") if len(names) == 1 else words[0]
    assert lines[-1] == f"{len(names)} {noun}"
    assert [line.split()[0] for line in lines[1:-1]] == names


def test_who_is_suspended_is_listed_with_the_cause(fresh: Desk) -> None:
    fresh.serve(of_user("suspend", "jdoe") + "cause: leave\n")
    [row] = fresh("list", "users", "--suspended", "--json").json
    assert (row["user"], row["suspended"]) == ("jdoe", ["root: leave"])


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("1 of 2,000,000", "1 of 2,000,000 files"),
        ("1 of 1", "1 of 1 file"),
        ("1 (no limit)", "1 file (no limit)"),
        ("1,234 (no limit)", "1,234 files (no limit)"),
        ("2,000,000", "2,000,000 files"),
        ("no limit", "no limit on files"),
    ],
)
def test_files_are_counted_in_words(said: str, text: str) -> None:
    assert files_text(said) == text


def test_a_person_whose_access_ends_is_said_to_be_with_when_and_by_which_request(
    fresh: Desk,
) -> None:
    ends = (datetime.now(UTC) + timedelta(days=20)).strftime("%Y-%m-%dT18:00:00Z")
    request = fresh.serve(f"{user('jdoe')}ends: {ends}\n")
    text = " ".join(fresh("status", "user:jdoe").out.split())
    assert f"ends: {ends[:10]} 18:00 UTC, as root asked ({request})" in text
    said = fresh("status").out
    next_one = f"1 (next: jdoe, on {ends[:10]}); all: provisioner list ends"
    assert f"access that ends within 30 days: {next_one}" in said
