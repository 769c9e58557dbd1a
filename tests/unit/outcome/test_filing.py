"""Putting files in their places: whatever is wrong with one, all others get there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from provisioner.journal.journal import Connection
from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.step_rows import StepRecord
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Site, allocation


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a request that is done, whose file is in `active` again."""
    site = Site(tmp_path)
    site.request(allocation(1))
    assert site.spool.move(done_id(site), "done", "active", "r.yaml")
    return site


def done_id(site: Site) -> RequestId:
    return RequestId(site.results("done")[0]["id"])


@pytest.fixture
def spoilt(site: Site) -> RequestId:
    """Give an older request whose times are in no calendar."""
    ulid = RequestId("01JGT0V9Q3M4R5S6T7V8W9X0Y1")
    row = {
        **{"id": ulid, "name": "x.yaml", "writer": "root", "uid": 0, "digest": "d", "body": b""},
        **{"action": "", "subject": "", "state": RequestState.ACCEPTED, "problems": []},
        **{"accepted": 1e13, "ended": 1e13, "set_aside": False},
    }
    with site.system.journal.transaction() as conn:
        request_rows.insert_requests(conn, [row])
    return ulid


def test_a_request_that_cannot_be_filed_keeps_back_no_other(
    site: Site, spoilt: RequestId, caplog: pytest.LogCaptureFixture
) -> None:
    finisher = site.service.finisher
    for _ in range(2):
        assert finisher.settle([spoilt, done_id(site)]) == [spoilt]
        assert finisher.announce([spoilt, done_id(site)]) == [spoilt]
    assert site.states()["done"] == ["r.yaml"]
    assert caplog.text.count(f"{spoilt}: its file could not be put in place") == 1


def test_a_request_that_cannot_be_filed_does_not_keep_the_service_from_starting(
    site: Site, spoilt: RequestId
) -> None:
    (site.config.spool / f"active/{spoilt}-x").touch()
    site.start()
    assert site.states()["done"] == ["r.yaml"]


def test_what_is_over_before_its_acceptance_was_told_gets_no_receipt_of_that(site: Site) -> None:
    [receipt] = (site.config.spool / "receipts").rglob("*.yaml")
    receipt.unlink()
    assert site.service.finisher.announce([done_id(site)]) == []
    assert not receipt.exists(), "it would say that nothing was made"


def test_many_are_filed_with_as_many_statements_as_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in range(5):
        site.request(allocation(number + 1, f"user{number}"), f"r{number}.yaml")
    ids = [RequestId(result["id"]) for result in site.results("done")]
    seen: list[str] = []
    with site.system.journal.reading() as conn:
        driver: Any = conn.connection.driver_connection
        driver.set_trace_callback(seen.append)
    seen.clear()
    site.service.finisher.settle(ids[:1])
    one = len(seen)
    site.service.finisher.settle(ids)
    assert len(seen) == 2 * one + 1, "which weighs them"


def test_requests_with_many_objects_are_read_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 of them, with ten thousand users each, took a gigabyte, and half a minute of the lock."""
    read: list[int] = []
    steps_of = step_rows.steps_of

    def noting(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, list[StepRecord]]:
        read.append(len(ids))
        return steps_of(conn, ids)

    monkeypatch.setattr(step_rows, "steps_of", noting)
    monkeypatch.setattr(step_rows, "PARTS", 4)
    site = Site(tmp_path)
    for number in range(4):
        site.drop(allocation(number, "ann"), f"{number}.yaml")
    read.clear()
    site.drain()
    assert len(site.results("done")) == 4
    assert max(read) == 2
