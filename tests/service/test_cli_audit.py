"""The audit trail on the command line: who asked for what, what was done, and whether it fits."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, clean, of_user, sample, served, user


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a site that served the samples and on which requests were held and cancelled."""
    desk = served(tmp_path_factory.mktemp("audit") / "site")
    desk.serve(of_user("suspend", "jdoe"))
    desk("pause", "directory-hpc.test")
    desk("submit", desk.file("held.yaml", "reason: new staff\n" + user("held")))
    desk("run", "--drain", "--patience", "0.5", code=5)
    for verb in ("hold", "release", "cancel"):
        desk(verb, desk.show("held.yaml")["id"], "--reason", f"to {verb}")
        desk("run", "--drain", "--patience", "0.5", code=None)
    return desk


def trail(desk: Desk, *words: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = desk("audit", "show", *words, "--json").json
    return listed


def kinds(listed: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in listed]


def test_it_tells_who_asked_for_what_when_and_by_which_bytes(desk: Desk) -> None:
    body = Path(sample("user-jdoe.yaml")).read_bytes()
    [first] = [e for e in trail(desk, "--subject", "user:jdoe") if "sha256" in e["facts"]][:1]
    assert (first["kind"], first["subject"]) == ("accepted", "user:jdoe")
    assert first["facts"]["asked_by"] == "root"
    assert first["facts"]["uid"] == 0
    assert first["facts"]["action"] == "user.provision"
    assert first["facts"]["sha256"] == hashlib.sha256(body).hexdigest()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])


def test_it_tells_what_was_done_and_what_was_read_back(desk: Desk) -> None:
    name = desk.show("user-jdoe.yaml")["id"]
    made = {e["facts"]["object"]: e["facts"] for e in trail(desk, name) if e["kind"] == "object"}
    steps = desk.show(name)["result"]["steps"]
    read_back = {key: state for step in steps for key, state in step["read_back"].items()}
    assert {key: facts["read_back"] for key, facts in made.items()} == read_back
    changed = [f"{key}: {text}" for key, facts in made.items() for text in facts["changed"]]
    assert sorted(changed) == sorted(text for step in steps for text in step.get("changed", ()))


def test_a_request_begins_with_who_asked_and_ends_with_its_outcome(desk: Desk) -> None:
    seen = kinds(trail(desk, desk.show("user-jdoe.yaml")["id"]))
    assert (seen[0], seen[1], seen[-1]) == ("accepted", "started", "done")


def test_who_held_released_and_cancelled_is_told_with_the_reason(desk: Desk) -> None:
    listed = trail(desk, desk.show("held.yaml")["id"])
    verbs = [e for e in listed if "by" in e["facts"]]
    assert [(e["kind"], e["facts"]["by"], e["facts"]["reason"]) for e in verbs] == [
        ("held", "root", "to hold"),
        ("released", "root", "to release"),
        ("cancelled", "root", "to cancel"),
    ]
    asking = [trail(desk, e["facts"]["through"])[0]["facts"]["action"] for e in verbs]
    assert asking == ["request.hold", "request.release", "request.cancel"]


def test_why_a_request_was_refused_is_told(desk: Desk) -> None:
    [refused] = trail(desk, desk.show("wrong-quota.yaml")["id"])
    assert refused["kind"] == "refused"
    assert refused["facts"]["problems"]


def test_of_a_person_is_told_what_was_done_in_allocations_for_them_alone(desk: Desk) -> None:
    of_allocation = [e for e in trail(desk, "--subject", "user:jdoe") if e["kind"] == "object"]
    about = {e["subject"] for e in of_allocation}
    assert "user:jdoe" in about
    assert any(subject.startswith("allocation:") for subject in about)
    assert {subject.rpartition("/")[2] for subject in about} == {"user:jdoe"}


def test_it_is_cut_by_time(desk: Desk) -> None:
    everything = trail(desk)
    middle = everything[len(everything) // 2]["at"]
    before, after = trail(desk, "--until", middle), trail(desk, "--since", middle)
    assert before and after
    # The threads of two lanes may record an older time later.
    assert sorted(e["event"] for e in before + after) == [e["event"] for e in everything]
    assert trail(desk, "--since", "2126-01-01") == []


def test_a_person_reads_who_what_and_what_was_read_back(desk: Desk) -> None:
    out = desk("audit", "show", "--subject", "user:jdoe").out
    assert "user.provision user:jdoe, asked for by root (uid 0)" in out
    assert "read back: {" in out
    assert "user.suspend user:jdoe, asked for by root" in out
    assert clean(out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--since", "yesterday"), "'yesterday' is not a time"),
        (("show", "--subject", "nosuch"), "nothing is claimed for 'nosuch'"),
        (("verify", "--head", "12"), "'12' is not a head"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: tuple[str, ...], said: str, desk: Desk) -> None:
    assert said in desk("audit", *words, code=3).err


def test_an_untouched_chain_fits_and_so_does_its_head(desk: Desk) -> None:
    said = desk("audit", "verify", "--json").json
    assert (said["right"], said["event"], said["pruned"]) == (True, None, 0)
    assert said["events"] == len(trail(desk))
    assert desk("audit", "verify", "--head", said["head"]).code == 0


def test_a_tampered_journal_ends_with_1_and_names_the_event(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(user("jdoe"))
    head = desk("audit", "verify", "--json").json["head"]
    tamper(desk, "UPDATE events SET text = 'nothing' WHERE seq = 2")
    assert "event 2 was altered" in desk("audit", "verify", code=1).out
    assert desk("audit", "verify", "--json", code=1).json["event"] == 2
    assert "ALTERED" in desk("audit", "show", code=1).out
    tamper(desk, "DELETE FROM events WHERE seq > 1")
    tamper(desk, "DELETE FROM requests")
    assert desk("audit", "verify").code == 0
    assert "the chain ends at 1" in desk("audit", "verify", "--head", head, code=1).out


def tamper(desk: Desk, statement: str) -> None:
    """Write into the journal behind the service's back."""
    [journal] = desk.root.rglob("journal.db")
    with contextlib.closing(sqlite3.connect(journal)) as base, base:
        base.execute(statement)
