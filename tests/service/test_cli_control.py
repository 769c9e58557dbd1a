"""Verbs that drop a request: what comes of it, and what `--wait` tells and ends with."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.request.request import parse_request
from tests.support.cli_site import PROGRAM, Desk, sample, storage, user
from tests.support.waiting import until


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "site")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Have a sandbox that is served."""
    desk = Desk(tmp_path_factory.mktemp("live") / "site")
    with desk.service():
        yield desk


# Without waiting.


def test_a_request_that_is_submitted_lies_in_staging_as_it_was(desk: Desk) -> None:
    done = desk("submit", sample("user-jdoe.yaml"))
    assert done.out == "dropped as user-jdoe.yaml\n"
    dropped = desk.spool / "staging/user-jdoe.yaml"
    assert dropped.read_bytes() == Path(sample("user-jdoe.yaml")).read_bytes()
    assert dropped.stat().st_mode & 0o777 == 0o600


def test_standard_input_is_submitted_as_well(desk: Desk) -> None:
    desk("submit", "-", stdin=user("jdoe").encode())
    assert (desk.spool / "staging/request.yaml").read_text() == user("jdoe")


def test_submit_reads_no_more_of_the_configuration_than_where_the_spool_is(desk: Desk) -> None:
    desk.set("use: slurm", "use: nothing-there")
    assert desk("submit", sample("user-jdoe.yaml")).out.startswith("dropped as ")


def test_who_submits_on_a_terminal_learns_that_nobody_serves(desk: Desk, live: Desk) -> None:
    words = ("submit", desk.file("served.yaml", user("served")))
    assert "no service on this host serves the spool now: `provisioner run`" in on_a_terminal(
        desk, *words
    )
    assert "to see what becomes of it: provisioner show served.yaml" in on_a_terminal(live, *words)


def test_a_program_that_submits_is_told_nothing_but_the_name(desk: Desk) -> None:
    done = desk("submit", sample("user-jdoe.yaml"))
    assert (done.out, done.err) == ("dropped as user-jdoe.yaml\n", "")


def on_a_terminal(desk: Desk, *words: str) -> str:
    """Run the real program; return what it said on a terminal as its standard error."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PROVISIONER_CONFIG": str(desk.config)}
    subprocess.run([*PROGRAM, *words], env=env, stderr=theirs, check=True)
    os.write(theirs, b".")  # so that there is something to read
    said = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    return said.removesuffix(".")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pause", "slurm"], "action: lane.pause\nlane: slurm\n"),
        (["unpause", "slurm"], "action: lane.unpause\nlane: slurm\n"),
        (
            ["pause", "slurm", "--reason", "ticket 7: down"],
            'action: lane.pause\nlane: slurm\nreason: "ticket 7: down"\n',
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_steers_the_queue_is_a_request_like_any_other(
    desk: Desk, words: list[str], text: str
) -> None:
    desk(*words)
    [dropped] = (desk.spool / "staging").iterdir()
    assert dropped.name == f"{words[0]}.yaml"
    assert dropped.read_text() == "provisioner: 1\n" + text


# run --drain.


def test_a_drain_tells_each_step_and_each_outcome_and_counts_them(desk: Desk) -> None:
    desk("submit", sample("user-jdoe.yaml"))
    desk("submit", sample("wrong-quota.yaml"))
    lines = desk("run", "--drain").out.splitlines()
    assert "user-jdoe.yaml           account: create account jdoe" in lines
    assert "user-jdoe.yaml           resolves: already so" in lines
    assert "user-jdoe.yaml           done" in lines
    assert "wrong-quota.yaml         refused" in lines
    assert lines[-1] == "done: 1  refused: 1"


def test_a_drain_of_nothing_is_done(desk: Desk) -> None:
    assert desk("run", "--drain").out == "empty\n"


def test_a_drain_that_leaves_something_ends_with_5_and_says_where_to_look(desk: Desk) -> None:
    desk("pause", "slurm")
    desk("submit", sample("compute.yaml"))
    done = desk("run", "--drain", "--patience", "0.5", code=5)
    assert done.out.endswith("some requests still wait; to see for what: provisioner queue\n")


def test_a_second_drain_does_not_tell_the_steps_of_the_first_again(desk: Desk) -> None:
    desk("pause", "slurm")
    desk("submit", sample("compute.yaml"))
    assert "group: create group" in desk("run", "--drain", "--patience", "0.5", code=5).out
    desk("unpause", "slurm")
    desk("submit", sample("user-jdoe.yaml"))
    said = desk("run", "--drain").out
    assert "compute.yaml             slurm_account: add account cf0003" in said
    assert "group: create group" not in said


# init.


def test_init_makes_what_is_missing_and_leaves_the_rest(desk: Desk) -> None:
    desk("submit", sample("user-jdoe.yaml"))
    (desk.spool / "held").rmdir()
    (desk.root / "journal/journal.db").unlink()
    done = desk("init")
    assert done.out == f"spool   {desk.spool}\njournal {desk.root}/journal/journal.db\n"
    assert desk("run", "--drain").out.endswith("done: 1\n")


# submit --wait.


def test_a_wait_tells_the_steps_and_ends_as_the_request_did(live: Desk) -> None:
    done = live("submit", "--wait", sample("user-jdoe.yaml"))
    first, *steps, last = done.out.splitlines()
    assert first == "dropped as user-jdoe.yaml"
    names = [step.split(":")[0].strip() for step in steps]
    assert names[:2] == ["account", "lds"]
    assert sorted(names[2:]) == ["home", "resolves"]  # two lanes, at the same time
    assert re.fullmatch(r"done; more: provisioner show [0-9A-Z]{26}", last)


def test_a_wait_for_a_wrong_request_tells_its_problems_and_ends_with_3(live: Desk) -> None:
    done = live("submit", "--wait", sample("wrong-quota.yaml"), code=3)
    assert "  line 7: allocation.project.titel: unknown key; expected one of " in done.out
    assert "refused; more: provisioner show " in done.out


def test_a_wait_for_what_fails_tells_what_to_do_and_ends_with_1(live: Desk) -> None:
    other = Desk(live.root.parent / "other")
    other.set("service: sandbox", "service: another")
    other.set(f"{other.root}/ad.json", f"{live.root}/ad.json")
    live("submit", "--wait", sample("user-asmith.json"))
    with other.service():
        done = other("submit", "--wait", sample("user-asmith.json"), code=1)
    assert re.search(
        r"^  account: failed: ad/account/asmith: .*\(what to do: .*\)$", done.out, re.M
    )
    assert "failed; more: provisioner show " in done.out


def test_a_wait_that_is_too_long_ends_with_5(desk: Desk) -> None:
    done = desk("submit", "--wait", "--timeout", "0.3", sample("user-jdoe.yaml"), code=5)
    assert "no outcome of user-jdoe.yaml within 0.3 s" in done.err
    assert "is `provisioner run` running?" in done.err


def test_a_wait_says_for_what_the_request_waits(live: Desk) -> None:
    text = Path(sample("compute.yaml")).read_text().replace("users: [jdoe]", "users: [nobody1]")
    done = live("submit", "--wait", "--timeout", "2", "-", stdin=text.encode(), code=5)
    assert "  resolves: waits: names/user/nobody1: does not resolve on this host yet" in done.out


def test_a_wait_that_is_interrupted_says_that_the_request_goes_on(desk: Desk) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "submit", "--wait", sample("user-jdoe.yaml")],
        env={**os.environ, "PROVISIONER_CONFIG": str(desk.config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    until((desk.root / "journal/journal.db-wal").exists, "it looks into the journal")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "dropped as user-jdoe.yaml\n")
    assert err == "user-jdoe.yaml continues: `provisioner show user-jdoe.yaml`\n"


def test_who_may_not_read_the_journal_waits_by_the_receipt(live: Desk) -> None:
    """Its absence here stands for a journal that is another user's."""
    settings = live.config.read_text()
    elsewhere = live.root / "writer.yaml"
    elsewhere.write_text(settings.replace("journal/journal.db", "journal/nothing.db"))
    words = ("submit", "--wait", "--config", str(elsewhere))
    done = live(*words, "-", stdin=user("reader").encode())
    assert re.search(r"^done; more: .*/receipts/.*\.yaml$", done.out, re.M)
    done = live(*words, sample("wrong-quota.yaml"), code=3)
    assert "  line 7: allocation.project.titel: unknown key; expected one of " in done.out


# Steering.


def test_a_lane_is_paused_and_goes_on(live: Desk) -> None:
    live("pause", "gpfs:local", "--wait")
    assert live("queue", "--json").json["lanes"]["gpfs:local"]["paused_by"]
    live("unpause", "gpfs:local", "--wait")
    assert live("queue", "--json").json["lanes"]["gpfs:local"]["paused_by"] is None


def test_a_request_is_held_released_cancelled_and_tried_again(live: Desk) -> None:
    live("pause", "directory-hpc.test", "--wait")
    live("submit", live.file("steered.yaml", "id: steered-1\n" + user("steered")))
    until(lambda: "steered.yaml" in live("queue").out, "steered.yaml is accepted")
    states = []
    for verb in ("hold", "release", "cancel", "retry"):
        live(verb, "steered-1", "--wait", code=5 if verb == "retry" else 0)  # its lane is paused
        states.append(live.show("steered-1")["state"])
    live("unpause", "directory-hpc.test", "--wait")
    assert states[:1] + states[2:3] == ["held", "cancelled"]
    assert {states[1], states[3]} <= {"accepted", "deferred"}
    until(lambda: live.show("steered-1")["state"] == "done", "steered-1 is done")


@pytest.mark.parametrize("verb", ["retry", "cancel", "hold"])
def test_a_request_is_steered_by_any_name_that_show_takes(desk: Desk, verb: str) -> None:
    for name in ("first", "second"):
        text = storage(code=name.upper(), users="nobody-yet").replace("id: 1", f"id: {name}")
        desk("submit", desk.file(f"{name}.yaml", text))
    desk("run", "--drain", "--patience", "1", code=5)
    first, second = (row["id"] for row in desk("queue", "--json").json["requests"])
    desk(verb, first, "second.yaml")
    requests = [parse_request(path.read_bytes()) for path in (desk.spool / "staging").iterdir()]
    assert {request.action for request in requests} == {f"request.{verb}"}
    assert {request.subject for request in requests} == {f"request:{first}", f"request:{second}"}


def test_a_refused_request_goes_through_staging_again(live: Desk) -> None:
    live("submit", "--wait", sample("wrong-quota.yaml"), code=3)
    refused = live.show("wrong-quota.yaml")["id"]
    said = live("retry", refused, "--wait", code=3).out
    again = live.show("wrong-quota.yaml")
    assert (again["id"] != refused, again["state"]) == (True, "refused")
    assert f"refused; more: provisioner show {again['id']}" in said
