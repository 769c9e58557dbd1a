"""What failed and was put right leaves `failed/`, says by which request, and no longer counts."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Connection

from provisioner.journal import dialect
from provisioner.journal.queries import replaced
from provisioner.journal.records import event_rows, request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import UNFIXED
from provisioner.objects.states import ENDED
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Site, allocation, control

WRONG = "provisioner: 1\naction: allocation.provison\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def records(site: Site) -> list[Record]:
    with site.system.journal.reading() as conn:
        return request_rows.in_states(conn, ENDED)


def failed(site: Site, name: str = "first.yaml", head: str = "") -> Record:
    """Have a request fail in a backend."""
    site.first.poison.add("cf")
    site.request(allocation(1, "ann", head=head), name)
    site.first.poison.clear()
    return records(site)[-1]


def again(site: Site, record: Record) -> Record:
    """Return a request as it is now."""
    with site.system.journal.reading() as conn:
        return request_rows.load(conn, [record.id])[record.id]


def unfixed(site: Site) -> list[str]:
    with site.system.journal.reading() as conn:
        return [record.id for record in replaced.unfixed(conn, 100)]


def receipt(site: Site, record: Record, name: str) -> dict[str, object]:
    path = site.config.spool / "receipts" / record.writer / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text()))


def test_a_later_request_that_asks_the_same_puts_it_right(site: Site) -> None:
    before = failed(site)
    site.request(allocation(1, "ann, bob"), "second.yaml")
    by = records(site)[-1]
    assert again(site, before).fixed_by == by.id
    assert site.states() == {"done": ["first.yaml", "second.yaml"], "failed": []}
    assert not list((site.config.spool / "failed").iterdir())
    first, _ = site.results("done")
    assert (first["outcome"], first["fixed_by"], "retry" in first) == ("failed", by.id, False)


def test_it_no_longer_counts_as_failed_and_the_trail_says_why(site: Site) -> None:
    before = failed(site)
    site.request(allocation(1, "ann"), "second.yaml")
    with site.system.journal.reading() as conn:
        assert request_rows.counts(conn) == {"done": 1, "fixed": 1}
        events = event_rows.events_of(conn, before.id)
    assert events[-1][1:] == ("fixed", f"by {records(site)[-1].id}")


def test_a_request_for_somebody_else_puts_nothing_right(site: Site) -> None:
    before = failed(site)
    site.request(allocation(2, "ann", code="cg"), "first.yaml")
    assert unfixed(site) == [before.id]


@pytest.mark.parametrize("cause, fixed", [("leave", True), ("review", False), ("", False)])
def test_a_suspension_for_another_cause_puts_nothing_right(
    site: Site, cause: str, fixed: bool
) -> None:
    site.request(allocation(1, "ann"), "first.yaml")
    suspend = "provisioner: 1\naction: allocation.suspend\nallocation: {id: 1}\n"
    late = "expires: 2020-01-01T00:00:00Z\n"
    site.request(f"{suspend}cause: leave\n{late}", "late.yaml")
    [refused] = unfixed(site)
    site.request(suspend + (f"cause: {cause}\n" if cause else ""), "other.yaml")
    assert unfixed(site) == ([] if fixed else [refused])


def test_the_corrected_file_of_one_that_could_not_be_read_puts_it_right(site: Site) -> None:
    site.request(WRONG, "first.yaml")
    site.request(allocation(1, "ann"), "first.yaml")
    assert unfixed(site) == []


def test_of_two_wrong_files_of_one_name_only_that_of_the_same_subject_is_put_right(
    site: Site,
) -> None:
    for number in (1, 2):
        text = allocation(number, "ann").replace("allocation.provision", "allocation.provison")
        site.request(text, "first.yaml")
    first, _ = unfixed(site)
    site.request(allocation(2, "ann"), "first.yaml")
    assert unfixed(site) == [first]
    site.request(allocation(1, "ann"), "first.yaml")
    assert unfixed(site) == []


def test_a_file_name_that_everybody_uses_puts_nothing_right(site: Site) -> None:
    site.request(WRONG, "request.yaml")
    site.request(allocation(1, "ann"), "request.yaml")
    assert len(unfixed(site)) == 1


def test_a_corrected_file_that_is_retried_puts_the_refused_one_right(site: Site) -> None:
    site.request(WRONG, "request.yaml")
    [before] = records(site)
    [file] = (site.config.spool / "failed").glob("*-request.yaml")
    file.write_text(allocation(1, "ann"))
    site.request(control("request.retry", before.id), "retry.yaml")
    assert unfixed(site) == []
    by = next(record for record in records(site) if record.action == "allocation.provision")
    assert again(site, before).fixed_by == by.id
    assert site.states()["failed"] == []


def test_a_file_that_is_wrong_again_counts_once(site: Site) -> None:
    site.request(WRONG, "wrong.yaml")
    [before] = records(site)
    site.request(control("request.retry", before.id), "retry.yaml")
    [left] = unfixed(site)
    assert left > before.id
    assert not list((site.config.spool / "failed").glob(f"{before.id}*"))


def test_a_file_that_was_moved_back_by_hand_puts_its_former_request_right(site: Site) -> None:
    site.request(WRONG, "request.yaml")
    [file] = (site.config.spool / "failed").glob("*-request.yaml")
    file.write_text(allocation(1, "ann"))
    for path in (*file.parent.glob("*.result.yaml"), file):
        path.rename(site.spool.staging / path.name)
    site.take()
    site.drain()
    assert unfixed(site) == []
    assert [path.suffixes[-2:] for path in site.spool.staging.iterdir()] == [[".result", ".yaml"]]


def test_a_receipt_that_the_two_requests_share_is_that_of_the_newer_one(site: Site) -> None:
    head = "id: portal-1\n"
    before = failed(site, head=head)
    site.request(allocation(1, "ann", head=head), "second.yaml")
    assert receipt(site, before, "portal-1")["state"] == "done"


def test_the_receipt_of_what_was_put_right_says_so(site: Site) -> None:
    before = failed(site)
    site.request(allocation(1, "ann"), "second.yaml")
    told = receipt(site, before, before.id)
    assert (told["state"], told["fixed_by"]) == ("failed", records(site)[-1].id)


def test_one_that_was_put_right_can_be_retried_all_the_same(site: Site) -> None:
    before = failed(site)
    site.request(allocation(1, "ann"), "second.yaml")
    site.request(control("request.retry", before.id), "retry.yaml")
    now = again(site, before)
    assert (now.state in ("done", "superseded"), now.fixed_by) == (True, None)
    assert site.states()["done"].count("first.yaml") == 1


def test_its_file_goes_with_its_age_like_what_is_done(site: Site) -> None:
    failed(site)
    site.request(allocation(1, "ann"), "second.yaml")
    list(site.service.keeper.portions(time.time() + 1000 * 86400))
    assert site.states() == {"done": [], "failed": []}


@pytest.mark.sqlite
def test_the_statements_use_their_indexes(site: Site) -> None:
    """On a journal with a million requests, a scan for each outcome would stop everything."""
    with site.system.journal.reading() as conn:
        plans = [
            str(conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").fetchall())
            for statement in (
                f"SELECT id FROM requests WHERE {UNFIXED} LIMIT 1",
                f"SELECT id FROM requests WHERE {UNFIXED} AND subject IN ('a', 'b')",
                f"SELECT id FROM requests WHERE {UNFIXED} AND name IN ('a', 'b')",
                "SELECT id FROM requests WHERE fixed_by IS NOT NULL AND fixed_by IN ('a', 'b')",
            )
        ]
    # Of two indexes of subjects SQLite takes either: they were made in no certain order.
    used = ("_unfixed", "(subject=?)", "_unfixed_name (name=?)", "_fixed_by (fixed_by=?)")
    assert all(index in plan for index, plan in zip(used, plans, strict=True)), plans


def test_very_many_that_one_puts_right_are_moved_in_portions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "_CHUNK", 2)
    for name in ("a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"):
        failed(site, name)
    sizes: list[int] = []
    load = request_rows.load

    def note(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, Record]:
        sizes.append(len(ids))
        return load(conn, ids)

    monkeypatch.setattr(request_rows, "load", note)
    site.request(allocation(1, "ann, bob"), "right.yaml")
    assert (site.states()["failed"], max(sizes)) == ([], 2)
