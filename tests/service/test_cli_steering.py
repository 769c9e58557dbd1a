"""Verbs that steer: what they refuse before anything is dropped, and what `--wait` waits for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.config.schema import load
from provisioner.inspection import failures, worklist
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from tests.support.cli_site import Desk, storage, user

NO_RESOURCE = storage().replace("hpc-storage", "hpc-storge")
NEEDS_QOS = """provisioner: 1
action: allocation.provision
allocation:
  id: {number}
  resource: cluster-a
  project: {{code: CF{number}}}
  users: [jdoe]
  slurm: {{qos: [supporters]}}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    return desk


@pytest.fixture
def live(desk: Desk) -> Iterator[Desk]:
    """Give a sandbox with a service that runs."""
    with desk.service():
        yield desk


def staged(desk: Desk) -> list[str]:
    return [path.name for path in (desk.spool / "staging").iterdir()]


def add_qos(desk: Desk, name: str) -> None:
    path = desk.root / "slurm/slurmdbd.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "qos": [*state.get("qos", ["normal"]), name]}))


def test_a_retry_of_what_still_waits_says_for_what_and_is_not_done(live: Desk) -> None:
    waits = storage(users="nobody-yet").encode()
    live("submit", "-", "--wait", "--timeout", "2", stdin=waits, code=5)
    [waiting] = [r for r in live("queue", "--json").json["requests"] if r["state"] == "deferred"]
    said = live("retry", waiting["id"], "--wait", code=5).out
    assert "still waits: " in said
    assert "done" not in said


def test_a_retry_of_a_failed_request_waits_for_its_end(live: Desk) -> None:
    live("submit", "-", "--wait", stdin=NEEDS_QOS.format(number=21).encode(), code=1)
    [failed] = live("failed", "--ids").out.split()
    assert "failed; more" in live("retry", failed, "--wait", code=1).out
    add_qos(live, "supporters")
    assert "done; more" in live("retry", failed, "--wait").out


def test_a_retried_cause_ends_with_a_table_and_a_sum(live: Desk) -> None:
    for number in (21, 22):
        live("submit", "-", "--wait", stdin=NEEDS_QOS.format(number=number).encode(), code=1)
    live("submit", "-", "--wait", stdin=NO_RESOURCE.encode(), code=3)
    add_qos(live, "supporters")
    *rows, closing = live("retry", "--all", "--wait", code=3).out.splitlines()
    assert closing.startswith("2 done, 1 refused; ") or closing.startswith("1 refused, 2 done; ")
    assert len(rows) == 3
    assert not re.search("[0-9A-Z]{26}", "".join(rows))
    ids = [row.split()[0] for row in rows if " done " in row]
    assert [live.show(name)["state"] for name in ids] == ["done", "done"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "slrum"], "there is no lane 'slrum'; expected "),
        (["unpause", "slrum"], "did you mean 'slurm'?"),
        (["retry", "nosuch"], "there is no request 'nosuch'"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_dropped(
    desk: Desk, words: list[str], said: str
) -> None:
    assert said in desk(*words, code=3).err
    assert staged(desk) == []


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "cancel", "dismiss"])
def test_a_verb_for_which_a_request_is_too_late_drops_nothing(desk: Desk, verb: str) -> None:
    done = desk.serve(user("asmith"))
    assert f"{done} is done: there is nothing to {verb}" in desk(verb, done, code=3).err
    assert staged(desk) == []


def test_no_retry_is_offered_for_what_lies_in_quarantine(desk: Desk) -> None:
    (desk.spool / "staging" / "link.yaml").symlink_to("/etc/hostname")
    desk("run", "--drain", code=None)
    out = desk("failed").out
    [aside] = desk("failed", "--ids").out.split()
    file = desk.spool / "quarantine" / f"{aside}-link.yaml"
    assert str(file) in out
    assert "retry --cause" not in out
    assert f"mv {file} {desk.spool}/staging/" in desk("retry", aside, code=3).err
    assert f"left out: {aside} was never read" in desk("retry", "--all").err
    assert staged(desk) == []


def test_the_path_of_a_failed_file_is_shown(desk: Desk) -> None:
    refused = desk.serve(NO_RESOURCE)
    [file] = [p for p in (desk.spool / "failed").iterdir() if not p.name.endswith(".result.yaml")]
    assert f"# Its file: {file}" in desk("show", refused).out
    assert str(file) in desk("failed", refused).out
    assert desk.show(refused)["file"] == str(file)
    [cause] = desk("failed", "--json").json
    assert cause["files"] == [str(file)]


def test_failed_takes_an_id_or_a_cause_and_says_why_nobody_is_needed(desk: Desk) -> None:
    done = desk.serve(NO_RESOURCE, user("asmith"))
    [refused] = desk("failed", "--ids").out.split()
    [cause] = desk("failed", "--json").json
    assert desk("failed", "--ids", refused[-8:].lower()).out.split() == [refused]
    assert desk("failed", "--ids", cause["cause"]).out.split() == [refused]
    assert f"{done} needs nobody: it is done" in desk("failed", done, code=3).err


def test_a_shortened_queue_keeps_the_oldest_failures(desk: Desk) -> None:
    desk.serve(*(NO_RESOURCE.replace("id: 1", f"id: {number}") for number in range(30, 40)))
    every = desk("failed", "--ids").out.split()
    shown = [row["id"] for row in desk("queue", "--limit", "4", "--json").json["failed"]]
    assert shown == [*every[:-4:-1], every[0]]
    out = desk("queue", "--limit", "4").out
    assert "and 6 more before the oldest: --limit" in out
    assert out.index("more before the oldest") < out.index("allocation:30")


def test_a_cause_keeps_its_id_when_what_waited_is_given_up(desk: Desk) -> None:
    desk("submit", "-", stdin=storage(users="nobody-yet").encode())
    desk("run", "--drain", "--patience", "1", code=None)
    [waiting] = desk("queue", "--json").json["requests"]
    book = Journal.open(load(desk.config).journal)
    with book.reading() as conn:
        [item] = worklist.waiting(conn)
        record = request_rows.load(conn, [waiting["id"]])[waiting["id"]]
    book.close()
    given_up = failures.Failure(
        record, failures.Kind.BACKEND, item.where[0], f"{item.reason} (waited 7 days)"
    )
    assert failures.cause_of(given_up) == item.cause


def test_each_of_many_retries_has_its_row_however_fast_they_are_taken(live: Desk) -> None:
    for number in range(21, 30):
        live("submit", "-", "--wait", stdin=NEEDS_QOS.format(number=number).encode(), code=1)
    *rows, closing = live("retry", "--all", "--wait", code=1).out.splitlines()
    assert closing.startswith("9 failed; ")
    assert len(rows) == 9


def filed(live: Desk, many: int) -> list[Path]:
    """Return the files that were refused, once they are moved: the outcome is known before."""
    until = time.monotonic() + 30
    while len(found := sorted((live.spool / "failed").glob("*-same.yaml"))) < many:
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_two_refused_files_of_one_name_show_their_own_outcomes(live: Desk) -> None:
    for place, code in (("a", 3), ("b", 3)):
        (live.root / place).mkdir()
        path = live.root / place / "same.yaml"
        path.write_text(NO_RESOURCE.replace("id: 1", f"id: 3{place == 'b':d}"))
        live("submit", str(path), "--wait", code=code)
    first, second = filed(live, 2)
    second.write_text(second.read_text().replace("hpc-storge", "hpc-storage"))
    *rows, _ = live("retry", "--all", "--wait", code=3).out.splitlines()
    outcomes = {row.split()[0]: row.split()[1] for row in rows}
    assert outcomes == {
        first.name[20:26].lower(): "refused",
        second.name[20:26].lower(): "done",
    }
