"""An intake whose host is gone for good: another one answers for it, when a person says so."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from provisioner.cli import doctor_hosts, inheriting, site
from provisioner.contract import ConfigError, InvalidRequest, Refused
from provisioner.house.inheritance import EVENT, Estate, take_over
from provisioner.journal import audit
from provisioner.journal.hosts import handed
from provisioner.journal.hosts.handed import Handed
from tests.support.engine_site import control, user
from tests.support.intakes import LEASE, SHARED, Intake, Intakes, asked, spool_of

pytestmark = [pytest.mark.lab, pytest.mark.root]


def die(intakes: Intakes, host: str) -> None:
    """Have it not be heard for some leases."""
    with psycopg.connect(intakes.address) as conn:
        conn.execute("UPDATE hosts SET heard = heard - %s WHERE name = %s", [3 * LEASE, host])


def taken_over(heir: Intake, former: str = "north") -> Estate:
    """Have an intake answer for another one."""
    made = take_over(heir.system.journal, former, heir.host, LEASE, "root")
    heir.hear()
    return made


def finish(intake: Intake) -> None:
    """Drain all."""
    for _ in range(2):
        intake.drain("first", "second")


def test_what_ended_meanwhile_is_answered_by_the_other_one(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    die(intakes, "north")
    finish(south)
    south.hear()
    assert south.results("done") == []
    made = taken_over(south)
    assert (made.requests, made.answered) == (1, 1)
    assert [result["outcome"] for result in south.results("done")] == ["done"]
    assert south.receipt("one")["state"] == "done"


def test_what_is_open_is_answered_by_the_other_one_when_it_ends(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    die(intakes, "north")
    taken_over(south)
    assert south.receipt("one")["state"] == "accepted"
    finish(south)
    south.hear()
    assert south.receipt("one")["state"] == "done"
    assert len(south.results("done")) == 1


def test_a_refused_file_lies_with_the_other_one_to_be_mended(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    north.drop(user("ann", uid=2001).replace("user.provision", "user.provide"))
    north.take()
    die(intakes, "north")
    taken_over(south)
    assert south.files("failed") == ["r.yaml"]
    [refused] = south.requests()
    south.drop(control("request.retry", refused.id), "again.yaml")
    south.take()
    assert "r.yaml" in south.files("failed")


def test_the_verb_says_what_was_given_and_what_was_not(
    intakes: Intakes,
    two: tuple[Intake, Intake],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    die(intakes, "north")
    monkeypatch.setenv("PROVISIONER_CONFIG", str(south.root / "provisioner.yaml"))
    inheriting.take_over("north", by="south")
    said = capsys.readouterr().out
    assert said.startswith(
        "south answers for north: 1 request; it writes results and receipts of 1"
    )
    assert f"files that were not accepted, in {north.spool.root}/staging and" in said


def test_one_that_is_heard_is_not_given_up(two: tuple[Intake, Intake]) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    with pytest.raises(Refused, match=r"north takes requests, and was heard . s ago: south") as no:
        taken_over(south)
    assert "on north" not in no.value.message and "stop it first" in no.value.advice
    assert [record.spool for record in north.requests()] == [north.spool.identity]


def test_who_is_not_heard_answers_for_nobody(intakes: Intakes, two: tuple[Intake, Intake]) -> None:
    for host in ("north", "south"):
        die(intakes, host)
    with pytest.raises(InvalidRequest, match="south takes no requests, and cannot answer"):
        taken_over(two[1])


def test_a_host_that_never_took_a_request_is_not_given_up(two: tuple[Intake, Intake]) -> None:
    with pytest.raises(InvalidRequest, match="no intake on east ever took a request"):
        taken_over(two[1], "east")


def test_where_staging_is_shared_nothing_is_to_be_typed(intakes: Intakes, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    _, south = (intakes.make(host, spool=spool, more=SHARED) for host in ("north", "south"))
    die(intakes, "north")
    with pytest.raises(InvalidRequest, match="goes on with the files of north by itself"):
        taken_over(south)


def test_the_trail_says_who_answers_for_whom(intakes: Intakes, two: tuple[Intake, Intake]) -> None:
    die(intakes, "north")
    taken_over(two[1])
    with two[1].system.journal.reading() as conn:
        [event] = [one for one in audit.trail(conn) if one.kind == EVENT]
    assert event.text == "south answers for north, whose 0 requests are now its own"


def test_what_was_handed_on_to_it_is_told(intakes: Intakes, two: tuple[Intake, Intake]) -> None:
    taker = handed.taker(spool_of(two[0]).id, "north")
    with two[1].system.journal.transaction() as conn:
        handed.add(conn, Handed("01J", "x.yaml", b"x"))
        handed.take(conn, ["01J"], taker)
    die(intakes, "north")
    assert taken_over(two[1]).waiting == 1


def test_doctor_names_an_intake_that_is_not_heard_as_long_as_requests_wait_for_it(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two

    def found() -> list[str]:
        config = south.system.config
        listed = doctor_hosts.unanswered(config, doctor_hosts.read(config))
        return [f"{one.message}: {one.advice}" for one in listed]

    north.drop(asked())
    north.take()
    assert found() == []
    die(intakes, "north")
    [told] = found()
    assert told.startswith("1 open request came to the intake on north, which is not heard")
    assert told.endswith("provisioner take-over north")
    taken_over(south)
    assert found() == []


@pytest.mark.parametrize("shared", [True, False])
def test_it_is_known_who_serves_a_spool_also_one_that_is_shared(
    intakes: Intakes, tmp_path: Path, shared: bool
) -> None:
    here = os.uname().nodename
    made = intakes.make(here, spool=str(tmp_path / "spool"), more=SHARED if shared else "")
    assert site.served_by(made.spool.root) is None
    made.spool.lock()
    assert site.served_by(made.spool.root) == os.getpid()


# It comes back.


def beat(intake: Intake) -> None:
    """Have it say that it is there, at once."""
    intake.member.seconds = 0.0
    intake.member._beat()


def test_what_comes_back_answers_for_nothing_that_was_taken_over(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    north.drop(user("ben", uid=2002), "ben.yaml")
    assert north.spool.take("ben.yaml") is not None  # and not accepted
    die(intakes, "north")
    taken_over(south)
    finish(south)
    south.hear()
    north.end()
    again = intakes.make("north")
    again.take()
    assert again.receipt("one")["state"] == "done"
    assert (again.files("active"), again.files("done")) == (["ben.yaml"], ["r.yaml"])
    subjects = sorted(record.subject for record in again.requests())
    assert subjects == ["user:ben", "user:u1"]


def test_one_that_was_only_frozen_ends_as_others_do_not_see_it(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    beat(north)
    die(intakes, "north")
    taken_over(south)
    with pytest.raises(ConfigError, match="north was given up, as it was not heard"):
        beat(north)


def test_one_that_ends_in_order_was_not_given_up(two: tuple[Intake, Intake]) -> None:
    north, _ = two
    north.member.leave()
    beat(north)
