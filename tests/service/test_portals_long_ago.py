"""Who asks for a person counts however long ago that was, and whatever the clock said."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.system import ulid
from tests.support.clocks import Clocks
from tests.support.engine_site import Site
from tests.support.manifest_site import ask, newest
from tests.support.policy_site import why
from tests.support.portals import POLICY, ROOT, A, B, C, forget, is_open, left_out, person


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with three portals."""
    return Site(tmp_path, POLICY)


def test_what_a_portal_asked_for_counts_however_old_it_is(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    ask(site, person("bob", 1002), C)
    forget(site)
    left_out(site, B)
    assert is_open(site)


def mended(site: Site, portal: int) -> None:
    """Let root put right a request that a portal wrote wrongly."""
    wrong = person(uid=1002)
    ask(site, {**wrong, "user": {**wrong["user"], "full_nam": "x"}}, portal)
    refused = newest(site, "one.json")
    assert refused.state == "refused"
    ask(site, {**person(), "replaces": refused.id}, ROOT)
    assert newest(site, "one.json").state == "done", why(newest(site, "one.json"))


def test_what_one_admin_put_right_for_two_portals_counts_for_both_however_old(site: Site) -> None:
    mended(site, A)
    mended(site, B)
    forget(site)
    left_out(site, B)
    assert is_open(site)
    left_out(site, A)
    assert not is_open(site)


def test_what_an_admin_asked_counts_though_they_put_right_a_portals_request_since(
    site: Site,
) -> None:
    ask(site, person(), ROOT)
    mended(site, A)
    ask(site, person(uid=1003), A)
    forget(site)
    left_out(site, A)
    assert is_open(site)


def test_what_was_said_while_the_clock_was_ahead_outweighs_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    monkeypatch.setattr(ulid, "_sequence", ulid._Sequence())
    site = Site(tmp_path, POLICY)
    ask(site, person(), A)
    ask(site, person(), B)
    clocks.jump(365 * 86400.0)
    assert "1 left out and asked for by others" in left_out(site, B)
    clocks.jump(-365 * 86400.0)
    ask(site, person(), B)
    left_out(site, A)
    assert is_open(site)


def test_what_begins_after_a_manifest_counts_after_it_though_it_was_written_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    ask(site, {**person(uid=1002), "not_before": "2126-01-01T00:00:00Z"}, B)
    assert newest(site, "one.json").state == "scheduled"
    assert "1 left out and asked for by others" in left_out(site, B)
    monkeypatch.setattr("provisioner.admission.intake.time.time", lambda: 4.95e9)  # in 2126
    site.service.house.intake.readmit(site.service.house.intake.due_later())
    monkeypatch.undo()
    site.drain()
    left_out(site, A)
    assert is_open(site)


def test_whom_a_portal_left_out_counts_however_old_that_is(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    left_out(site, A)
    forget(site)
    left_out(site, B)
    assert not is_open(site)
