"""`submit` of several files, and of each row of a table: the plan of all, then their outcomes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_site import PROGRAM, Desk, Done, sample, user
from tests.support.terminals import on_terminal

PEOPLE = """Name;Full Name;Email;Room
anna;Anna Berg;anna@campus.test;12
Jörg;Jörg Ax;;
bert;Bert Ax;;
anna;Anna Again;;
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Have a sandbox."""
    return Desk(tmp_path / "site")


def each(desk: Desk, *words: str, table: str = PEOPLE, code: int | None = 0) -> Done:
    """Submit each row of a table as a user."""
    path = desk.file("people.csv", table)
    return desk("submit", "--each", path, "--template", "user", *words, code=code)


def staged(desk: Desk) -> list[str]:
    return sorted(path.name for path in (desk.spool / "staging").iterdir())


def test_several_files_are_dropped_each(desk: Desk) -> None:
    done = desk("submit", sample("user-jdoe.yaml"), sample("storage.yaml"))
    assert done.out.count("dropped as") == 2
    assert staged(desk) == ["storage.yaml", "user-jdoe.yaml"]


def test_several_files_that_are_waited_for_get_a_table_of_outcomes(desk: Desk) -> None:
    with desk.service():
        files = [sample("user-jdoe.yaml"), sample("wrong-quota.yaml")]
        done = desk("submit", "--wait", *files, code=3)
    right, wrong, total = done.out.splitlines()
    assert re.search(r"user-jdoe.yaml +done +user:jdoe +\w{6}", right)
    assert re.search(r"wrong-quota.yaml +refused .*'allocation.provison' is not an action", wrong)
    assert total.startswith("1 done, 1 refused; ")


def test_who_may_not_read_the_journal_gets_the_table_from_the_receipts(desk: Desk) -> None:
    """Its absence here stands for a journal that is another user's."""
    settings = desk.config.read_text().replace("journal/journal.db", "journal/nothing.db")
    config = desk.file("writer.yaml", settings)
    path = desk.file("people.csv", "name\nanna\nBert\n")
    words = ("submit", "--config", config, "--each", path, "--template", "user", "--yes")
    with desk.service():
        done = desk(*words, code=3)
    assert "not planned: " in done.err
    assert re.search(r"line 2 +done +user:anna +\w{6}", done.out)
    assert "1 done, 1 wrong; " in done.out


def test_an_unreadable_file_keeps_the_others_from_being_dropped(desk: Desk) -> None:
    desk("submit", sample("user-jdoe.yaml"), "/nonexistent", code=2)
    assert staged(desk) == []


def test_the_plan_of_each_row_comes_first_and_the_wrong_rows_with_their_lines(desk: Desk) -> None:
    done = each(desk, "--dry-run", code=3)
    lines = done.out.splitlines()
    assert lines[0].startswith("line 2  user.provision user:anna: account: 1 change; ")
    assert lines[1].startswith("line 4  user.provision user:bert: ")
    assert lines[2].startswith("line 3  wrong: user.name: 'Jörg': not a user name")
    assert lines[3] == "line 5  wrong: user:anna is in line 2 already"
    assert lines[4] == "2 requests, 2 wrong"
    assert done.err == "not used: the columns room\n"
    assert staged(desk) == []


def test_without_a_terminal_nothing_is_sent_before_a_yes(desk: Desk) -> None:
    done = each(desk, code=2)
    assert "to send it, add --yes" in done.err
    assert staged(desk) == []


def test_the_right_rows_are_served_and_a_table_says_how_each_ended(desk: Desk) -> None:
    with desk.service():
        done = each(desk, "--yes", code=3)
    table = done.out.splitlines()[5:]
    assert re.match(r"line 2 +done +user:anna +\w{6}$", table[0])
    assert re.match(r"line 4 +done +user:bert +\w{6}$", table[1])
    assert re.match(r"line 3 +wrong .*'Jörg'", table[2])
    assert table[-1].startswith("2 done, 2 wrong; ")


def test_a_row_that_fails_says_why(desk: Desk) -> None:
    (desk.root / "home/anna").mkdir(parents=True)
    (desk.root / "home/anna/file").write_text("somebody's")
    with desk.service():
        done = each(desk, "--yes", table="name\nanna\nbert\n", code=1)
    assert re.search(r"line 2 +failed +user:anna +\S+ +home: failed: ", done.out)
    assert "1 done, 1 failed" in done.out


def test_rows_without_an_outcome_in_time_say_so(desk: Desk) -> None:
    done = each(desk, "--yes", "--timeout", "0.1", table="name\nanna\n", code=5)
    assert "no outcome" in done.out
    assert "still in staging: does the service run?" in done.out


def test_a_timeout_of_none_sends_and_does_not_wait(desk: Desk) -> None:
    assert (
        "line 2: dropped as people-2.yaml"
        in each(desk, "--yes", "--timeout", "0", table="name\nanna\n").out
    )


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_in_another_encoding_is_told_with_its_name(desk: Desk, encoding: str) -> None:
    path = desk.root / "people.csv"
    path.write_bytes(PEOPLE.encode(encoding))
    done = desk("submit", "--each", str(path), "--template", "user", "--yes", code=3)
    assert f"{path}: line " in done.err
    assert "iconv -f " in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--each", "x.csv"], 2, "--each needs --template NAME"),
        (["--each", "x.csv", "--template", "usr"], 3, "there is no template 'usr'"),
        (["--each", "/nonexistent.csv", "--template", "user"], 1, "No such file"),
        ([], 2, "give one of"),
    ],
)
def test_what_is_missing_is_told(desk: Desk, words: list[str], code: int, said: str) -> None:
    done = desk("submit", *words, code=code)
    assert said in re.sub(r"[\s│]+", " ", done.out + done.err)


def test_a_site_has_templates_of_its_own(desk: Desk) -> None:
    folder = desk.root / "mine/each"
    folder.mkdir(parents=True)
    folder.joinpath("guest.yaml").write_text(user("$name").replace("user:", "cause: guest\nuser:"))
    text = (folder / "guest.yaml").read_text().replace("user.provision", "user.suspend")
    (folder / "guest.yaml").write_text(text)
    desk.config.write_text(desk.config.read_text() + "\ntemplates: [mine]\n")
    path = desk.file("guests.csv", "name\nanna\n")
    done = desk("submit", "--each", path, "--template", "guest", "--dry-run")
    assert "user.suspend user:anna" in done.out


def test_a_person_at_a_terminal_is_asked_and_sees_the_bar_reach_all(desk: Desk) -> None:
    path = desk.file("people.csv", "name\nanna\nbert\n")
    environment = {"PROVISIONER_CONFIG": str(desk.config)}
    words = [*PROGRAM, "submit", "--each", path, "--template", "user"]
    with desk.service():
        done = on_terminal(words, environment, answer="y\n")
    assert "send 2 requests?" in done.raw
    assert re.findall(r"(\d+)/(\d+) requests", " ".join(done.frames))[-1] == ("2", "2")
    assert done.screen[-1].startswith("2 done; ")
