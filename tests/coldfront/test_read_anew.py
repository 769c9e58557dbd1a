"""An answer that is written anew is read anew, by the service's clock and by no other."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation
from django.utils import timezone

from provisioner.coldfront.answering import answers
from provisioner.coldfront.models import Standing
from tests.coldfront.site import Site

pytestmark = pytest.mark.database


def stands(allocation: Any) -> dict[str, str]:
    rows = Standing.objects.filter(allocation=allocation.pk)
    return dict(rows.values_list("user", "state"))


def answer_all(site: Site) -> None:
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()


def closed_now(site: Site) -> None:
    """Answer anew that the user of the allocation is suspended by now."""
    [row] = site.rows(action="allocation.provision")
    site.answer(row, "done", closed={"cgray": "others"})


@pytest.mark.parametrize("ahead", [-120, 0, 3, 120, 86400])
def test_an_answer_is_read_anew_however_this_clock_differs_from_the_services(
    site: Site, active: Allocation, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(seconds=ahead))
    answer_all(site)
    assert stands(active) == {"cgray": "ready"}
    closed_now(site)
    site.sync()
    assert stands(active) == {"cgray": "closed"}


@pytest.mark.parametrize("before", [False, True], ids=["first read", "read before"])
def test_an_answer_that_is_written_anew_while_it_is_read_is_read_again(
    site: Site, active: Allocation, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    for row in site.rows(state="written"):
        site.answer(row, "done")
    if before:
        site.sync()
    for path in site.receipts.iterdir():
        os.utime(path, (1, 1))
    read, turns = answers.read, iter([True])

    def reading(receipt: bytes) -> Any:
        found = read(receipt)
        if found and found.whole["action"] == "allocation.provision" and next(turns, False):
            closed_now(site)
        return found

    monkeypatch.setattr(answers, "read", reading)
    site.sync()
    assert stands(active) == {"cgray": "ready"}
    site.sync()
    assert stands(active) == {"cgray": "closed"}


@pytest.mark.parametrize("state", ["done", "failed", "deferred"])
def test_an_answer_is_read_anew_though_what_is_wanted_is_incomplete_since(
    site: Site, active: Allocation, state: str
) -> None:
    answer_all(site)
    [row] = site.rows(action="allocation.provision")
    site.answer(row, "deferred")
    site.sync()
    site.delete_attribute(active, "slurm_account_name")
    assert [one.state for one in site.rows(key=row.key)] == ["deferred", "incomplete"]
    site.answer(row, state)
    site.sync()
    site.answer(row, state, closed={"cgray": "others"})
    site.sync()
    assert stands(active) == {"cgray": "closed"}


def test_an_answer_that_is_as_it_was_is_not_read_again(
    site: Site, active: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_all(site)
    site.sync()
    monkeypatch.setattr(answers, "read", pytest.fail)
    site.sync()
