"""One staging that two intakes share: who keeps house takes files, and the other one goes on with
them, in their order; whoever was only slow writes nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.journal.journal import JournalBroken
from provisioner.objects.states import RequestState
from provisioner.recovery import startup
from provisioner.spool.spool import Spool, Submission
from provisioner.system import ulid
from provisioner.system.ulid import RequestId
from tests.support import databases
from tests.support.engine_site import user
from tests.support.intakes import SHARED, Intake, Intakes, asked

pytestmark = [pytest.mark.lab, pytest.mark.root]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Intake, Intake]]:
    made, spool = Intakes(tmp_path, databases.cluster().make()), str(tmp_path / "spool")
    with made.running:
        north, south = (made.make(host, spool=spool, more=SHARED) for host in ("north", "south"))
        yield north, south


def look(*intakes: Intake) -> None:
    """Have each look into staging."""
    for intake in intakes:
        intake.take()


def taken(intake: Intake, name: str) -> Submission:
    """Have an intake take a file, and do nothing more with it."""
    found = intake.spool.take(name)
    assert isinstance(found, Submission)
    return found


def overtaken(intake: Intake) -> None:
    """Have it hear of that, as at its next beat."""
    intake.member.lease.renew()


def test_nobody_takes_files_while_nobody_keeps_house(two: tuple[Intake, Intake]) -> None:
    north, south = two
    north.drop(asked())
    look(north, south)
    assert north.requests() == []


def test_who_keeps_house_takes_files_and_files_them(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with south.house():
        north.drop(asked())
        look(north, south)
        assert south.files("active") == ["r.yaml"]
        for _ in range(2):
            south.drain("first", "second")
        for intake in two:
            intake.hear()
    [record] = north.requests()
    assert (record.state, record.spool) == (RequestState.DONE, south.spool.identity)
    assert north.spool.identity == south.spool.identity
    assert south.files("done") == ["r.yaml"]
    assert south.receipt("one")["state"] == "done"


def test_who_takes_the_house_up_goes_on_with_what_was_taken_in_its_order(
    two: tuple[Intake, Intake],
) -> None:
    north, south = two
    with north.house():
        look(north)
        names = [north.drop(user(f"u{n}", uid=2000 + n), f"u{n}.yaml") for n in range(4)]
        for name in names[:2]:
            taken(north, name)
    with south.house():
        look(south)
    assert [record.subject for record in south.requests()] == [f"user:u{n}" for n in range(4)]


def test_who_takes_the_house_up_files_what_was_accepted(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with north.house():
        north.drop(asked())
        north.service.take()  # and dies before anything is filed
    for _ in range(2):
        north.drain("first", "second")
    with south.house():
        look(south)
    assert south.files("done") == ["r.yaml"]
    assert [result["outcome"] for result in south.results("done")] == ["done"]
    assert south.receipt("one")["state"] == "done"


def test_what_a_slow_one_had_taken_is_accepted_once_by_the_other(
    two: tuple[Intake, Intake],
) -> None:
    north, south = two
    with north.house():
        look(north)
        file = taken(north, north.drop(asked()))
        with south.house():
            look(south)
        with pytest.raises(JournalBroken, match="south has taken it up"):
            north.service._admit([file])
    [record] = south.requests()
    assert record.state == RequestState.ACCEPTED


def test_a_slow_one_takes_nothing_more(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with north.house():
        look(north)
        with south.house():
            overtaken(north)
            north.drop(asked())
            with pytest.raises(JournalBroken, match="another host has it"):
                north.service.take()
            look(south)
    assert len(south.requests()) == 1


def test_what_a_slow_one_was_filing_is_filed_again_by_the_other(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with north.house():
        north.drop(asked())
        look(north)
        [record] = north.requests()
        with south.house():
            look(south)
            south.hear()
            with pytest.raises(JournalBroken), north.service.finisher.turn(record.id):
                north.spool.move(record.id, "active", "held", record.name)
                overtaken(north)
            assert south.files("active") == []
            south.hear()
            assert south.files("active") == ["r.yaml"]


def test_a_start_beside_one_that_accepts_meanwhile_finds_no_journal_that_is_too_old(
    two: tuple[Intake, Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = two
    listed, waiting = Spool.listed, [asked()]

    def beside(spool: Spool, place: str) -> list[RequestId]:
        if spool is south.spool and waiting:
            north.drop(waiting.pop())
            look(north)
            for _ in range(2):
                north.drain("first", "second")
            north.hear()
            assert north.files("done") == ["r.yaml"]
        return listed(spool, place)

    with north.house():
        look(north)
        monkeypatch.setattr(Spool, "listed", beside)
        startup.check_newest(south.spool, south.system.journal)
    assert waiting == []


def test_marks_in_staging_are_no_requests(two: tuple[Intake, Intake]) -> None:
    with two[0].house():
        look(*two)
    names = [path.name for path in two[0].spool.staging.iterdir()]
    assert sorted(name[: -ulid.LENGTH] for name in names) == [".intake-", ".intake-"]
    assert two[0].requests() == []
