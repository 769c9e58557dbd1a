"""Retention: what is over goes in its time, a little at a time; what somebody needs stays."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from pathlib import Path

import pytest

from provisioner.config.keeping import RetentionConfig
from provisioner.journal import audit
from provisioner.journal.audit import Head, Verified
from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED, OPEN
from provisioner.recovery import retention
from provisioner.recovery.retention import Keeper
from provisioner.system.ulid import RequestId
from tests.support.engine_site import (
    Site,
    allocation,
    control,
    membership,
    release,
    user,
)
from tests.support.waiting import until

DAY = 86400.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def prune(site: Site, *, days: float, **limits: float) -> int:
    """Prune as on a later day; return how many files, rows and events went."""
    return sum(keeper(site, **limits).portions(time.time() + days * DAY))


def keeper(site: Site, **limits: float) -> Keeper:
    """Make a keeper that keeps everything but what the limits say."""
    forever = {"done_days": 1e4, "journal_days": 1e4, "events_days": 1e4, "journal_floor": 1}
    settings = RetentionConfig.model_validate({**forever, **limits})
    return Keeper(site.spool, site.system.journal, settings)


def verified(site: Site, pinned: Head | None = None) -> Verified:
    with site.system.journal.reading() as conn:
        return audit.verify(conn, pinned)


def known(site: Site) -> list[str]:
    """List the files of the requests that the journal knows."""
    with site.system.journal.reading() as conn:
        found = request_rows.in_states(conn, (*OPEN, *ENDED))
    return [record.name for record in found]


def serve(site: Site, *names: str) -> None:
    for name in names:
        site.request(user(name), f"{name}.yaml")


def repeat(site: Site, *names: str) -> None:
    """Ask for the same user under some names: what is wanted rests on the last request alone."""
    for name in names:
        site.request(user("same"), f"{name}.yaml")


# Files.


def test_done_files_go_with_their_results_when_they_are_old(site: Site) -> None:
    serve(site, "a", "b")
    assert prune(site, days=29, done_days=30) == 0
    assert prune(site, days=31, done_days=30) == 4
    assert list((site.config.spool / "done").iterdir()) == []


def test_the_age_of_a_file_counts_from_its_outcome(site: Site) -> None:
    serve(site, "a")
    done = site.config.spool / "done"
    for path in done.iterdir():  # as if it had been taken from staging long ago
        path.rename(done / ("0" * 10 + path.name[10:]))
    assert prune(site, days=0, done_days=1) == 0
    assert prune(site, days=2, done_days=1) == 2


def test_the_oldest_done_files_go_where_there_are_too_many(site: Site) -> None:
    serve(site, "a", "b", "c")
    assert prune(site, days=0, done_count=2) == 2
    assert site.states()["done"] == ["b.yaml", "c.yaml"]


def test_what_an_operator_put_into_done_stays(site: Site) -> None:
    note = site.config.spool / "done" / "README"
    note.write_text("mine")
    prune(site, days=1000, done_days=1, done_count=1)
    assert note.exists()


def test_what_failed_is_never_removed(site: Site) -> None:
    site.first.poison.add("a")
    serve(site, "a")
    prune(site, days=9999, done_days=1, done_count=1, journal_days=1, events_days=1)
    assert site.states()["failed"] == ["a.yaml"]
    assert len(site.results("failed")) == 1


# Rows.


def test_the_rows_of_ended_requests_go_but_the_newest(site: Site) -> None:
    repeat(site, "a", "b", "c")
    assert prune(site, days=29, journal_days=30) == 0
    assert prune(site, days=31, journal_days=30, journal_floor=3) == 0
    assert prune(site, days=31, journal_days=30, journal_floor=2) == 2, "and its receipt"
    assert known(site) == ["b.yaml", "c.yaml"]
    with site.system.journal.reading() as conn:
        tables = ("requests", "steps", "step_objects")
        count = [conn.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in tables]
    assert count == [2, 4, 4]


def test_a_request_without_an_outcome_stays(site: Site) -> None:
    site.drop(user("waits"), "waits.yaml")
    site.request(control("request.hold", site.open()[0].id), "hold.yaml")
    site.request("not_before: 2126-01-01T00:00:00Z\n" + user("later"), "later.yaml")
    repeat(site, "a", "b")
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["waits.yaml", "later.yaml", "b.yaml"]


def test_a_request_whose_file_failed_stays_until_somebody_took_the_file_away(site: Site) -> None:
    site.request("provisioner: 1\naction: user.provison\n", "a.yaml")
    repeat(site, "b", "c")
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["a.yaml", "c.yaml"]
    for path in (site.config.spool / "failed").iterdir():
        path.unlink()
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["c.yaml"]


def test_a_request_stays_as_long_as_what_is_wanted_rests_on_it(site: Site) -> None:
    site.request(allocation(1, "ann"), "old.yaml")
    site.request(membership(1, "bob", "add"), "bob.yaml")
    site.request(user("jdoe"), "jdoe.yaml")
    site.request(user("jdoe", "suspend"), "suspend.yaml")
    repeat(site, "last")
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["old.yaml", "bob.yaml", "jdoe.yaml", "suspend.yaml", "last.yaml"]
    site.request(allocation(1, "ann", files=6), "new.yaml")
    site.request(user("jdoe", "resume"), "resume.yaml")
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["jdoe.yaml", "last.yaml", "new.yaml", "resume.yaml"]


def members(site: Site) -> set[str]:
    return {key.rpartition("/")[2] for key in site.first.rows if key.startswith("first/member/")}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_a_cancellation_gives_back_what_was_wanted_before_however_old_that_is(
    site: Site, verb: str
) -> None:
    site.request(allocation(1, "ann, bob"), "old.yaml")
    repeat(site, "same")
    site.first.away = True
    site.drop(allocation(1, "eve"), "new.yaml")
    prune(site, days=1000, journal_days=1)
    site.drop(control(f"request.{verb}", site.open()[-1].id), f"{verb}.yaml")
    prune(site, days=1000, journal_days=1)
    site.back(site.first)
    site.drain()
    assert members(site) == {"ann", "bob"}


@pytest.mark.parametrize("left", ["cancel", "hold"])
@pytest.mark.parametrize("later", ["provision", "membership"])
def test_what_was_stopped_does_not_undo_a_later_request_however_old_that_is(
    site: Site, left: str, later: str
) -> None:
    site.request(allocation(1, "ann"), "first.yaml")
    site.first.away = True
    site.drop(allocation(1, "ann, bob"), "stopped.yaml")
    [stopped] = [record for record in site.open() if record.name == "stopped.yaml"]
    site.drop(control(f"request.{left}", stopped.id), f"{left}.yaml")
    site.back(site.first)
    if later == "provision":
        site.request(allocation(1, "ann, eve"), "later.yaml")
    else:
        site.request(membership(1, "bob", "add"), "add.yaml")
        site.request(membership(1, "bob", "remove"), "remove.yaml")
    repeat(site, "same")
    before = members(site)
    prune(site, days=1000, journal_days=1)
    verb = control("request.retry", stopped.id) if left == "cancel" else release(stopped)
    site.request(verb, "again.yaml")
    assert members(site) == before
    assert "bob" not in before


def test_the_highest_number_of_an_order_is_not_forgotten(site: Site) -> None:
    for number in (7, 8):
        head = f"order: {{key: allocation-1, number: {number}}}\n"
        site.request(allocation(1, head=head), f"r{number}.yaml")
    serve(site, "last")
    prune(site, days=1000, journal_days=1)
    assert known(site) == ["r8.yaml", "last.yaml"]
    site.request(
        allocation(1, files=1, head="order: {key: allocation-1, number: 7}\n"), "late.yaml"
    )
    assert site.results("done")[-1]["outcome"] == "superseded"


def test_a_request_that_is_tried_again_meanwhile_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.first.poison.add("a")
    serve(site, "a", "b")
    with site.system.journal.reading() as conn:
        [failed] = request_rows.in_states(conn, ["failed"])
    listed = site.spool.listed

    def retried(place: str) -> list[RequestId]:
        """Between the look at the journal and the removal, an operator tries it again."""
        if place == "failed":
            site.drop(control("request.retry", failed.id), "retry.yaml")
        return [] if place == "failed" else listed(place)

    monkeypatch.setattr(site.spool, "listed", retried)
    prune(site, days=1000, journal_days=1)
    assert "a.yaml" in known(site)


# Events.


def test_events_go_and_what_is_left_still_fits(site: Site) -> None:
    serve(site, "a", "b")
    before = verified(site)
    assert prune(site, days=29, events_days=30) == 0
    assert prune(site, days=31, events_days=30) == before.events
    serve(site, "c")
    after = verified(site, before.head)
    assert (after.problem, after.start.seq) == ("", before.events)


def test_rows_and_events_of_different_ages_fit_together(site: Site) -> None:
    serve(site, "a", "b", "c")
    prune(site, days=31, journal_days=30)
    assert verified(site).problem == ""
    prune(site, days=61, events_days=60)
    assert verified(site).problem == ""


# A little at a time.


def test_requests_are_taken_between_any_two_portions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in ("_FILES", "_EVENTS"):
        monkeypatch.setattr(retention, size, 1)
    serve(site, "a", "b")
    ahead = keeper(site, done_days=1, events_days=1, journal_days=1)
    taken = 0
    for _ in ahead.portions(time.time() + 2 * DAY):
        if taken < 12:
            serve(site, f"new{taken}")
            taken += 1
    assert taken == 12
    assert verified(site).problem == ""
    assert {f"new{n}.yaml" for n in range(12)} <= set(site.states()["done"])


def test_a_stopping_service_waits_for_one_portion_at_most(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_FILES", 1)
    serve(site, "a", "b")
    stopping = keeper(site, done_days=1)
    stopping.start()
    stopping.stop()
    stopping.prune(time.time() + 2 * DAY)
    assert len(list((site.config.spool / "done").iterdir())) == 3


def test_what_cannot_be_removed_ends_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    (site.config.spool / "done").rename(site.config.spool / "gone")
    keeper(site).prune()
    assert "could not be removed" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory to another")
def test_who_is_not_the_writer_any_more_is_shut_out_of_receipts(site: Site) -> None:
    serve(site, "a")
    [theirs] = site.spool.receipts.iterdir()
    os.chown(theirs, 54321, 54321)
    theirs.chmod(0o755)
    looking = keeper(site)
    looking.start()
    looking.stop()
    found = theirs.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o700)


# The pinned head.

PINNED = re.compile(r"^audit head (\d+:[0-9a-f]{64}) \d{4}-\d\d-\d\dT", re.M)


def test_the_head_is_logged_at_start_and_stop_and_verifies(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "provisioner.recovery.retention")
    serve(site, "a")
    thread = threading.Thread(target=site.service.run)
    thread.start()
    until(lambda: PINNED.search(caplog_text(caplog)), "the head is logged")
    site.service.stop()
    thread.join()
    heads = PINNED.findall(caplog_text(caplog))
    assert len(heads) == 2
    assert [verified(site, Head.parse(head)).problem for head in heads] == ["", ""]


def test_the_head_is_logged_again_and_again(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "provisioner.recovery.retention")
    monkeypatch.setattr(retention, "EVERY", 0.01)
    monkeypatch.setattr(retention, "FIRST", 0.01)
    serve(site, "a")
    running = keeper(site)
    running.start()
    until(lambda: len(PINNED.findall(caplog_text(caplog))) >= 4, "the head is logged four times")
    running.stop()


def test_a_checkpoint_is_logged_too(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "provisioner.recovery.retention")
    serve(site, "a")
    head = verified(site).head
    prune(site, days=2, events_days=1)
    assert f"audit checkpoint {head}" in caplog_text(caplog)


def caplog_text(caplog: pytest.LogCaptureFixture) -> str:
    """Return the messages alone, as the log has them after its own prefix."""
    return "\n".join(record.getMessage() for record in caplog.records)


# Receipts.


def receipts_of(site: Site) -> list[str]:
    return sorted(path.name for path in site.spool.receipts.glob("*/*"))


def test_a_receipt_goes_with_the_row_of_its_request(site: Site) -> None:
    site.request(user("same"), "old.yaml")
    site.request(user("same").replace("action", "id: own-1\naction"), "own.yaml")
    repeat(site, "new")
    assert len(receipts_of(site)) == 3
    newest = max(name for name in receipts_of(site) if name != "own-1.yaml")
    prune(site, days=11, journal_days=10)
    assert known(site) == ["new.yaml"]
    assert receipts_of(site) == [newest]


def test_a_receipt_that_no_request_explains_goes_when_it_is_old(site: Site) -> None:
    serve(site, "a")
    [mine] = receipts_of(site)
    home = next(site.spool.receipts.iterdir())
    (home / "lost.yaml").write_text("id: 01M8000000000000000000000A\nstate: done\n")
    (home / "empty.yaml").write_text("")
    prune(site, days=9, journal_days=10)
    assert len(receipts_of(site)) == 3
    prune(site, days=11, journal_days=10)
    assert receipts_of(site) == [mine]


def test_the_receipt_of_what_is_open_or_failed_stays(site: Site) -> None:
    site.first.poison, site.first.missing = {"bad"}, {"late"}
    serve(site, "bad", "late")
    before = receipts_of(site)
    prune(site, days=11, journal_days=10)
    assert receipts_of(site) == before
