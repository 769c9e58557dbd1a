"""Several intakes on one journal: one request whichever takes it, files where they were taken, one
house; and what is refused at a start."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from provisioner.contract import ConfigError
from provisioner.journal.hosts import holds, presence
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.hosts.presence import HOUSE
from provisioner.journal.postgresql import service
from provisioner.journal.records import keepsakes
from provisioner.journal.records.waits import UNSERVED
from provisioner.objects.states import RequestState
from provisioner.recovery import startup
from provisioner.spool.spool import Spool, Submission
from tests.support.engine_site import CONFIG, control, user
from tests.support.intakes import LEASE, SHARED, Intake, Intakes, asked, spool_of

pytestmark = [pytest.mark.lab, pytest.mark.root]

HERE = os.uname().nodename


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a start that is refused wait less for the locks, and the marks, of another one."""
    monkeypatch.setattr(service, "_GRACE", 0.3)
    monkeypatch.setattr("provisioner.hosts.ground._PATIENCE", 0.1)


def test_what_is_dropped_at_both_is_one_request(two: tuple[Intake, Intake]) -> None:
    north = two[0]
    for intake in two:
        intake.drop(asked())
        intake.take()
    first, again = north.requests()
    assert (first.state, again.state) == (RequestState.ACCEPTED, RequestState.DONE)
    assert (first.duplicate_of, again.duplicate_of) == (None, first.id)
    assert [record.spool for record in (first, again)] == [spool_of(one).id for one in two]


def test_each_writer_finds_a_receipt_under_its_own_id_that_follows_the_request(
    two: tuple[Intake, Intake],
) -> None:
    north, south = two
    for intake in two:
        intake.drop(asked())
        intake.take()
    first = north.requests()[0].id
    assert south.receipt("one")["state"] == "accepted"
    for _ in range(2):
        north.drain("first", "second")
    for intake in two:
        intake.hear()
        receipt = intake.receipt("one")
        assert (receipt["id"], receipt["state"]) == (first, "done")


def test_a_receipt_follows_what_happened_while_its_intake_was_down(
    intakes: Intakes, two: tuple[Intake, Intake]
) -> None:
    north, south = two
    for intake in two:
        intake.drop(asked())
        intake.take()
    for _ in range(2):
        north.drain("first", "second")
    assert south.receipt("one")["state"] == "accepted"  # it has heard nothing
    south.end()
    again = intakes.make("south")
    again.service.clerk.catch_up()
    assert again.receipt("one")["state"] == "done"


def test_an_intake_drains_no_lane(two: tuple[Intake, Intake]) -> None:
    north, _ = two
    north.drop(asked())
    north.take()
    assert [north.service.placement.has(lane) for lane in ("first", UNSERVED)] == [False, False]
    assert north.service.placement.alive() is False  # it takes jobs between `start` and `stop`


def test_files_and_results_are_where_the_files_were_taken(two: tuple[Intake, Intake]) -> None:
    north, south = two
    north.drop(user("ann", uid=2001), "ann.yaml")
    south.drop(user("ben", uid=2002), "ben.yaml")
    for intake in two:
        intake.take()
    assert [intake.files("active") for intake in two] == [["ann.yaml"], ["ben.yaml"]]
    for _ in range(2):
        north.drain("first", "second")
    for intake in two:
        intake.hear()
    assert [intake.files("done") for intake in two] == [["ann.yaml"], ["ben.yaml"]]
    subjects = [[result["subject"] for result in intake.results("done")] for intake in two]
    assert subjects == [["user:ann"], ["user:ben"]]


def test_other_content_under_an_id_of_the_other_intake_is_refused(
    two: tuple[Intake, Intake],
) -> None:
    north, south = two
    north.drop(asked(1))
    north.take()
    south.drop(asked(2))
    south.take()
    [result] = south.results("failed")
    assert "with other content" in str(result["problems"])
    assert north.results("failed") == []


def test_what_one_cancels_goes_to_its_place_at_the_other(two: tuple[Intake, Intake]) -> None:
    north, south = two
    north.drop(asked())
    north.take()
    south.drop(control("request.cancel", north.requests()[0].id))
    south.take()
    assert north.files("failed") == []
    north.hear()
    assert north.files("failed") == ["r.yaml"]
    assert south.files("failed") == []


def test_a_refused_file_is_tried_again_where_it_lies(two: tuple[Intake, Intake]) -> None:
    north, south = two
    north.drop("provisioner: 1\naction: none\n")
    north.take()
    [refused] = north.requests()
    south.drop(control("request.retry", refused.id))
    south.take()
    [result] = south.results("failed")
    assert "dropped on north" in str(result["problems"])
    north.drop(control("request.retry", refused.id))
    north.take()
    assert [record.state for record in north.requests()].count(RequestState.REFUSED) == 2


def test_ids_grow_in_the_order_of_the_commits(two: tuple[Intake, Intake]) -> None:
    north, south = two
    early = north.spool.take(north.drop(user("early", uid=2001), "early.yaml"))
    south.drop(user("late", uid=2002), "late.yaml")
    south.take()
    assert early is not None
    north.service._admit([early])
    north.service.clerk.catch_up()
    records = north.requests()
    assert [record.subject for record in records] == ["user:late", "user:early"]
    assert records[1].id != early.ulid
    assert [path.name for path in (north.spool.root / "active").iterdir()] == [
        f"{records[1].id}-early.yaml"
    ]


def test_a_file_keeps_its_id_while_nothing_was_recorded_of_it(
    two: tuple[Intake, Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = two
    taken = north.spool.take(north.drop(user("early", uid=2001), "early.yaml"))
    south.drop(user("late", uid=2002), "late.yaml")
    south.take()
    assert taken is not None

    def full(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("provisioner.admission.acceptance.Acceptance.admit", full)
    with pytest.raises(OSError, match="no room"):
        north.service._admit([taken])
    assert north.spool.lies("active", taken.ulid, "early.yaml")


def test_a_name_of_a_writer_means_whom_the_other_intake_saw_first(
    two: tuple[Intake, Intake],
) -> None:
    north, south = two
    name = south.drop(asked())
    shutil.chown(south.spool.staging / name, "nobody")
    taken = south.spool.take(name)
    assert isinstance(taken, Submission)
    assert south.service._terms.reader.first(taken).submission.writer == "nobody"
    with north.system.journal.transaction() as conn:
        keepsakes.save_names(conn, {"nobody": 4711})
    south.service._admit([taken])
    [record] = south.requests()
    assert record.writer == f"nobody:{taken.uid}"


def test_whom_requests_at_both_shut_out_counts_together(two: tuple[Intake, Intake]) -> None:
    north, south = two
    reviews = [intake.service._terms.review for intake in two]
    with north.system.journal.transaction() as conn:
        north.service._terms.company.catch_up(conn, north.service._terms.writers, reviews[0])
        reviews[0].gradual.shut(conn, 7, {"user:ann"}, 100.0)
    with south.system.journal.transaction() as conn:
        south.service._terms.company.catch_up(conn, south.service._terms.writers, reviews[1])
    assert reviews[1].gradual.lately(7, 101.0) == {"user:ann"}


# The house.


def test_what_is_scheduled_at_one_begins_where_the_house_is(two: tuple[Intake, Intake]) -> None:
    north, south = two
    due = datetime.now(UTC) + timedelta(seconds=2)
    south.drop(f"not_before: {due.isoformat()}\n{user('ann', uid=2001)}")
    south.take()
    assert south.files("deferred") == ["r.yaml"]
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
    with north.house() as keeping:
        keeping.work()
    south.hear()
    assert south.files("active") == ["r.yaml"]
    assert north.files("active") == []


def test_queue_shows_who_keeps_house(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with south.house(), north.system.journal.reading() as conn:
        seen = presence.seen(conn, north.system.journal.now(conn), LEASE)
    assert {each.host.name: each.drains for each in seen} == {"north": (), "south": (HOUSE,)}


def test_who_lost_the_house_writes_nothing_more(two: tuple[Intake, Intake]) -> None:
    north, south = two
    with north.house() as keeping:
        with south.system.journal.transaction() as conn:
            holds.take_up(conn, HOUSE, "south", 0.0)
        with pytest.raises(Overtaken), keeping._system.journal.transaction():
            pass
        north.member.lease.renew()
        with pytest.raises(Overtaken):
            keeping.work()


def test_old_rows_go_where_their_files_were(two: tuple[Intake, Intake]) -> None:
    north = two[0]
    for intake, name in zip(two, ("ann", "ben"), strict=True):
        intake.drop(user(name, uid=2001), f"{name}.yaml")
        intake.take()
    with north.system.journal.reading() as conn:
        ids = [record.id for record in north.requests()]
        mine = [intake.service.keeper.share.among(conn, ids, 0.0) for intake in two]
        after = north.service.keeper.share.among(conn, ids, time.time() + 60)
    assert mine == [ids[:1], ids[1:]]
    assert after == ids  # nobody serves the other one any more


# Ids of spools.


def forget(intakes: Intakes, intake: Intake) -> None:
    """Make of an intake one that served alone: its spool has no id, and nobody has the first."""
    intake.end()
    (intake.spool.root / "intake").unlink()
    with psycopg.connect(intakes.address) as conn:
        conn.execute("DELETE FROM spools")


def named(intakes: Intakes, host: str, identity: str) -> None:
    """Make a spool that names the journal, as a start does that is refused afterwards."""
    root = intakes.top / host / "spool"
    root.parent.mkdir()
    Spool.create(root).close()
    startup.name(root, identity)


def test_a_spool_whose_start_was_refused_is_not_taken_for_the_first(intakes: Intakes) -> None:
    north = intakes.make("north")
    north.drop(asked())
    north.take()
    named(intakes, "south", north.system.journal.identity)
    forget(intakes, north)
    south, north = intakes.make("south"), intakes.make("north")
    assert south.spool.identity
    assert (north.spool.identity, north.files("active")) == ("", ["r.yaml"])
    north.drain("first", "second")
    north.hear()
    assert (north.files("done"), south.files("done")) == (["r.yaml"], [])


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_spool_whose_id_was_not_written_whole_gets_it_again(
    two: tuple[Intake, Intake], intakes: Intakes, text: str
) -> None:
    south = two[1]
    south.end()
    (south.spool.root / "intake").write_text(text)
    assert intakes.make("south").spool.identity == south.spool.identity != ""


# Refusals at a start.


@pytest.mark.usefixtures("brief")
def test_a_second_intake_on_one_host_is_refused(intakes: Intakes, tmp_path: Path) -> None:
    intakes.make("north")
    refusal = r"has an intake on north already: provisioner .*this host"
    with pytest.raises(ConfigError, match=refusal):
        intakes.make("north", spool=str(tmp_path / "other"))


@pytest.mark.usefixtures("brief")
def test_a_copy_of_another_intakes_spool_is_refused(intakes: Intakes, tmp_path: Path) -> None:
    north = intakes.make("north")
    shutil.copytree(north.spool.root, tmp_path / "copy")
    with pytest.raises(ConfigError, match="has an intake with spool first already") as refused:
        intakes.make("south", spool=str(tmp_path / "copy"))
    assert "remove the file `intake`" in refused.value.advice


@pytest.mark.usefixtures("brief")
def test_a_staging_that_is_not_shared_although_both_say_so_is_refused(
    intakes: Intakes, tmp_path: Path
) -> None:
    north = intakes.make("north", spool=str(tmp_path / "spool"), more=SHARED)
    north.spool.root.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="south and north both say that they share"):
        intakes.make("south", spool=str(tmp_path / "spool"), more=SHARED)


@pytest.mark.usefixtures("brief")
def test_one_staging_of_two_intakes_that_do_not_both_say_so_is_refused(
    intakes: Intakes, tmp_path: Path
) -> None:
    intakes.make("north", spool=str(tmp_path / "spool"), more=SHARED)
    with pytest.raises(ConfigError, match="south and north take files from one staging"):
        intakes.make("south", spool=str(tmp_path / "spool"))


@pytest.mark.usefixtures("brief")
def test_a_journal_of_another_service_is_refused(intakes: Intakes) -> None:
    intakes.make("north")
    other = CONFIG.replace("service: test", "service: other")
    with pytest.raises(
        ConfigError, match=f"test, which north serves, .* other on {HERE}"
    ) as refused:
        intakes.make("south", lead=other)
    assert "journal of its own" in refused.value.advice
