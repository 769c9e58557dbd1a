"""A date is followed although something else stands in the way of its request."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.persons import beforehand
from provisioner.journal.records import ledger
from tests.support.clocks import Clocks
from tests.support.ends_site import ending, look
from tests.support.engine_site import CONFIG, Site, user

DAY = 86400.0


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    site = Site(tmp_path)
    site.request(ending(user("ann", uid=7), 1))
    return site


def restart(site: Site, more: str = "") -> None:
    """Start the service again. more: what its configuration says besides."""
    site.spool.close()
    site.system.journal.close()
    site.configure(CONFIG + more)
    site.start()
    look(site)


def ended(site: Site) -> list[str]:
    """Return the states of the requests that the service made for the date, oldest first."""
    with site.system.journal.reading() as conn:
        rows = conn.exec_driver_sql(
            "SELECT state FROM requests WHERE name = 'ended-user-ann.json' ORDER BY id"
        )
        return [row[0] for row in rows]


def test_access_ends_although_its_writer_has_suspended_it_for_as_many_causes_as_may_be(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "CAUSES", 2)
    for cause in ("one", "two"):
        site.request(user("ann", "suspend", cause=cause), f"{cause}.yaml")
    clocks.go(2 * DAY)
    look(site)
    for cause in ("one", "two"):
        site.request(user("ann", "resume", cause=cause), f"back-{cause}.yaml")
    assert ended(site) == ["done"]
    with site.system.journal.reading() as conn:
        assert ledger.reasons(conn, "user:ann") == ["root: ended"]
    assert site.limit("first/account/ann") == "0"


def test_a_date_whose_request_was_refused_is_followed_again_a_day_later(
    site: Site, clocks: Clocks
) -> None:
    clocks.go(2 * DAY)
    restart(site, "policy: {protected: {users: [ann]}}\n")
    restart(site)
    assert (ended(site), site.limit("first/account/ann")) == (["refused"], "7")
    clocks.go(1.1 * DAY)
    look(site)
    look(site)
    assert (ended(site), site.limit("first/account/ann")) == (["refused", "done"], "0")


def test_a_date_whose_request_was_refused_while_the_clock_was_ahead_is_followed_again(
    site: Site, clocks: Clocks
) -> None:
    clocks.go(2 * DAY)
    clocks.jump(400 * DAY)
    restart(site, "policy: {protected: {users: [ann]}}\n")
    clocks.go(1.1 * DAY)  # until then, dates count by the clock as it was
    look(site)
    assert "refused" in ended(site)
    clocks.jump(-400 * DAY)
    restart(site)
    look(site)
    assert (ended(site)[-1], site.limit("first/account/ann")) == ("done", "0")


def test_a_suspension_that_a_backend_refused_is_not_asked_for_again(
    site: Site, clocks: Clocks
) -> None:
    site.first.poison = {"ann"}
    clocks.go(2 * DAY)
    look(site)
    clocks.go(2 * DAY)
    look(site)
    assert ended(site) == ["failed"]
    with site.system.journal.reading() as conn:
        assert ledger.reasons(conn, "user:ann") == ["root: ended"]
