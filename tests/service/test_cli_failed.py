"""`provisioner failed`: what needs a person, by cause; and the retry of a whole cause."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from provisioner.inspection.failures import Kind
from tests.support.cli_site import Desk, storage, user

NO_RESOURCE = storage().replace("hpc-storage", "hpc-storge")


def compute(number: int, qos: str) -> str:
    """Write an allocation on a cluster with a QOS."""
    return f"""provisioner: 1
action: allocation.provision
allocation:
  id: {number}
  resource: cluster-a
  project: {{code: CF{number}}}
  users: [jdoe]
  slurm: {{qos: [{qos}]}}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with requests that failed for three causes."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    wrong = [NO_RESOURCE.replace("id: 1", f"id: {number}") for number in (11, 12, 13)]
    missing = [compute(number, "supporters") for number in (21, 22)]
    desk.serve(*wrong, *missing, user("jdoe").replace("user.provision", "user.provisio"))
    return desk


def causes(desk: Desk, *words: str) -> list[tuple[str, int, str]]:
    """Return kind, number and place of each cause."""
    listed = desk("failed", "--json", *words).json
    return [(each["kind"], each["count"], each["where"]) for each in listed]


def add_qos(desk: Desk, name: str) -> None:
    """Add a QOS as an admin does."""
    path = desk.root / "slurm/slurmdbd.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "qos": [*state.get("qos", ["normal"]), name]}))


def ids(desk: Desk, *words: str) -> list[str]:
    return desk("failed", "--ids", *words).out.split()


def test_failures_are_grouped_by_their_cause_the_most_frequent_first(desk: Desk) -> None:
    assert causes(desk) == [
        ("wrong", 3, "allocation.resource"),
        ("backend", 2, "slurm-a"),
        ("wrong", 1, "action"),
    ]


def test_each_cause_says_who_what_and_what_to_do(desk: Desk) -> None:
    out = desk("failed").out
    assert "6 requests need a person: 3 causes" in out
    assert re.search(r"^\w{6} +2 +\d+ s  failed: slurm-a: there is no QOS 'supporters'$", out, re.M)
    assert re.search(r"who  jdoe; CF21, CF22; asked for by \w+$", out, re.M)
    assert re.search(r"fix  did you mean hpc-storage\? expected: one of", out, re.M)
    assert re.search(r"type  provisioner edit \w{6} --wait$", out, re.M)
    [command] = re.findall(r"provisioner (retry --cause \w+)", out)[1:2]
    desk(*command.split())


@pytest.mark.parametrize("verb", ["failed", "queue"])
def test_thirty_failures_of_five_kinds_fit_a_screen_of_80_by_40(tmp_path: Path, verb: str) -> None:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"), user("asmith"))
    wrong = [NO_RESOURCE.replace("id: 1", f"id: {number}") for number in range(101, 113)]
    sizes = [storage().replace("1TiB", f"{number}TX") for number in range(1, 9)]
    names = [user(f"Guest{number}") for number in range(5)]
    missing = [compute(number, "supporters") for number in range(140, 144)]
    desk.serve(*wrong, *sizes, *names, *missing, storage().replace("title", "titel"))
    lines = desk(verb).out.splitlines()
    told = [line for line in lines if not line.startswith("idle lanes")]
    assert len(told) <= 40
    assert max(map(len, told)) <= 80
    counts = re.findall(r"^\w{6} +(\d+) +\d+ s  ", "\n".join(lines), re.M)
    assert counts == ["12", "8", "5", "4", "1"]


def test_all_of_a_cause_is_told_of_one_or_if_it_is_asked_for(desk: Desk) -> None:
    [wrong, backend, typo] = desk("failed", "--json").json
    one = desk("failed", wrong["cause"]).out
    assert "about: allocation:11, allocation:12, allocation:13" in one
    assert all(file in one for file in wrong["files"])
    each = desk("failed", "--all").out
    assert "docs/runbook.md#backend" in each
    assert (wrong["people"], wrong["projects"]) == (["jdoe"], ["CF1"])
    assert typo["subjects"] == ["user:jdoe"]
    assert all(cause["cause"] in each for cause in (wrong, backend, typo))


def test_what_many_failures_are_is_told_one_by_one_if_it_is_asked_for(desk: Desk) -> None:
    desk.serve(*[NO_RESOURCE.replace("id: 1", f"id: {number}") for number in range(30, 40)])
    assert "CAUSE   COUNT" in desk("queue").out
    for more in (["--state", "failed,refused"], ["--limit", "20"]):
        out = desk("queue", *more).out
        assert "allocation:39" in out
        assert "CAUSE   COUNT" not in out


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("--subject", "allocation:11"), 1),
        (("--subject", "12"), 1),
        (("--handler", "slurm-a"), 2),
        (("--writer", "nobody-here"), 0),
    ],
)
def test_filters_narrow_the_list(desk: Desk, words: tuple[str, str], number: int) -> None:
    assert len(ids(desk, *words)) == number


def test_a_whole_cause_is_retried_at_once(desk: Desk) -> None:
    [backend] = [each for each in desk("failed", "--json").json if each["kind"] == "backend"]
    add_qos(desk, "supporters")
    desk("retry", "--cause", backend["cause"])
    desk.drain()
    assert [kind for kind, *_ in causes(desk)] == ["wrong", "wrong"]


def test_what_a_later_request_put_right_is_not_listed(desk: Desk) -> None:
    right = storage().replace("id: 1", "id: 12")
    desk.serve(right)
    assert causes(desk, "--subject", "allocation:12") == []


def test_more_than_ten_are_retried_after_a_question(desk: Desk) -> None:
    wrong = [NO_RESOURCE.replace("id: 1", f"id: {number}") for number in range(30, 40)]
    desk.serve(*wrong)
    asked = desk("retry", "--all", code=1)
    assert "retry 16 requests?" in asked.err
    assert "dropped as" not in asked.out
    assert desk("retry", "--all", "--yes").out.count("dropped as") == 16


def test_when_nothing_failed_that_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    assert desk("failed").out == "nothing that failed or was refused needs a person\n"
    assert desk("retry", "--all").out == "nothing that failed or was refused needs a person\n"


@pytest.mark.parametrize("verb", ["retry", "cancel", "hold"])
def test_a_verb_drops_nothing_for_a_name_that_means_no_request(desk: Desk, verb: str) -> None:
    done = desk(verb, "nothing-such", code=3)
    assert "there is no request 'nothing-such'" in done.err
    assert list((desk.spool / "staging").iterdir()) == []


def test_a_cause_that_is_gone_is_told(desk: Desk) -> None:
    assert desk("failed", "--cause", "000000").out == "nothing has the cause 000000 any more\n"
    assert desk("failed", "--cause", "000000", "--json").json == []
    assert "provisioner failed" in desk("retry", "--cause", "000000", code=3).err


def test_what_is_not_a_cause_is_told(desk: Desk) -> None:
    assert "'wrong' is not a cause" in desk("failed", "--cause", "wrong", code=3).err


def test_a_filter_that_nothing_matches_says_how_many_there_are(desk: Desk) -> None:
    out = desk("failed", "--writer", "nobody-here").out
    assert out == "nothing matches the filter; 6 requests need a person: provisioner failed\n"
    assert desk("retry", "--writer", "nobody-here").out == ("nothing to retry matches the filter\n")


def test_the_runbook_has_an_entry_for_each_kind() -> None:
    page = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
    assert re.findall(r"^## (\S+)$", page, re.MULTILINE) == [str(kind) for kind in Kind]


def test_a_request_that_put_many_right_is_the_newest_outcome(desk: Desk) -> None:
    desk.serve(*[NO_RESOURCE] * 12)
    desk.serve(storage())
    [newest] = desk("queue", "--ended", "1", "--json").json["ended"]
    assert (newest["outcome"], newest["subject"]) == ("done", "allocation:1")
