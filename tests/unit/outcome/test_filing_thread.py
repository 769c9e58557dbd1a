"""Whose files, results and receipts are seen to next."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner.outcome import filing_thread
from provisioner.outcome.filing_thread import portion
from provisioner.spool.submit import drop
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Site, allocation


def waiting(count: int) -> dict[RequestId, None]:
    """Name requests in the order in which they changed."""
    return dict.fromkeys(RequestId(f"id{n}") for n in range(count))


def test_few_are_done_together_in_their_order() -> None:
    assert portion(waiting(4), 4) == ["id0", "id1", "id2", "id3"]


def test_who_comes_last_is_done_in_the_next_portion_however_many_stand_before() -> None:
    assert portion(waiting(100_000), 4) == ["id0", "id1", "id99998", "id99999"]


def test_what_stands_before_is_done_while_others_keep_coming() -> None:
    queue = waiting(1000)
    for came in range(500):
        queue |= dict.fromkeys(RequestId(f"new{came}-{n}") for n in range(4))
        for done in portion(queue, 4):
            del queue[done]
    assert not queue.keys() & waiting(1000).keys()


SOON, LATER = 0.3, 2.3
"""Seconds after which an acceptance is told, of a few and of many at once."""


@pytest.mark.parametrize(
    ("number", "after", "told"),
    [(2, 0.0, 0), (2, SOON, 2), (5, SOON, 0), (5, LATER, 4)],
    ids=["at once", "a few soon", "many not so soon", "a portion of many later"],
)
def test_an_acceptance_is_told_when_no_outcome_came_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: float, told: int
) -> None:
    monkeypatch.setattr(filing_thread, "_PORTION", 4)
    site = Site(tmp_path)
    before = time.monotonic()
    for each in range(number):
        drop(site.spool.staging, f"r{each}.yaml", allocation(each + 1).encode())
    while site.service.take():
        pass
    began = time.monotonic() if told else before
    site.service.clerk.work(began + after)
    assert receipts_of(site) == told


def receipts_of(site: Site) -> int:
    return len(list((site.config.spool / "receipts").rglob("*.yaml")))
