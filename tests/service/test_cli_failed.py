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
    assert "about: allocation:11, allocation:12, allocation:13" in out
    assert "docs/runbook.md#backend" in out
    [command] = re.findall(r"provisioner (retry --cause \w+)", out)[1:2]
    desk(*command.split())


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
    desk("run", "--drain", "--patience", "6", code=None)
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
