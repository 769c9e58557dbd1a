"""Manifests of a portal whose clock is not this host's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.objects.states import RequestState
from tests.support.engine_site import Site, allocation
from tests.support.manifest_site import POLICY, ask, entry, members, reconcile, told
from tests.support.policy_site import PORTAL, send

SUSPEND = allocation(1, verb="suspend", head="cause: reconcile\n", code="cf1")
EMPTY = allocation(1, "", code="cf1")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with a portal's allocation of ann."""
    site = Site(tmp_path, POLICY)
    ask(site, entry(1, "ann"))
    assert members(site) == {"cf1/ann"}
    return site


def numbered(text: str, number: int) -> str:
    """Return a request with a number, as a portal sends it."""
    order = f'order: {{key: "42", number: {number}}}'
    return text.replace("action:", f"id: portal-{number}\n{order}\naction:", 1)


@pytest.mark.parametrize("ahead", [-3600, -60, 0, 60, 3600])
@pytest.mark.parametrize("closing", [SUSPEND, EMPTY])
def test_what_was_closed_after_the_number_of_a_manifest_stays_closed_whatever_clocks_say(
    site: Site, closing: str, ahead: float
) -> None:
    read = datetime.now(UTC) + timedelta(seconds=ahead)
    assert send(site, PORTAL, numbered(closing, 8), "close.yaml").state == RequestState.DONE
    assert reconcile(site, entry(1, "ann"), as_of=read, since=7).state == RequestState.DONE
    assert members(site) == set()


def test_what_was_closed_before_the_number_of_a_manifest_is_opened_by_it(site: Site) -> None:
    assert send(site, PORTAL, numbered(SUSPEND, 6), "close.yaml").state == RequestState.DONE
    reconcile(site, entry(1, "ann"), as_of=datetime.now(UTC), since=7)
    assert members(site) == {"cf1/ann"}


def test_the_numbers_of_other_writers_are_not_the_manifests(site: Site) -> None:
    assert send(site, PORTAL, numbered(SUSPEND, 6), "close.yaml").state == RequestState.DONE
    assert send(site, 0, numbered(EMPTY.replace("1", "9"), 8), "other.yaml").state
    reconcile(site, entry(1, "ann"), as_of=datetime.now(UTC), since=7)
    assert members(site) == {"cf1/ann"}


@pytest.mark.parametrize("ahead", [5, 60, 86400])
def test_a_manifest_that_was_read_in_the_future_and_has_no_number_is_refused(
    site: Site, ahead: float
) -> None:
    send(site, PORTAL, SUSPEND, "close.yaml")
    read = datetime.now(UTC) + timedelta(seconds=ahead)
    record = reconcile(site, entry(1, "ann"), as_of=read)
    assert record.state == RequestState.REFUSED
    assert "ahead of this host's clock" in told(record)
    assert members(site) == set()
