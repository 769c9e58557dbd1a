"""What a cancelled request leaves: what others wanted before, and nothing that waits for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner import ledger
from tests.service.engine_site import Site, allocation, control, membership

RECONCILE = "provisioner: 1\naction: reconcile\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def waits(site: Site, text: str, name: str = "waiting.yaml") -> None:
    """Have a request wait for the first backend."""
    site.first.away = True
    site.drop(text, name)
    site.service.lanes["first"].drain()


def cancel(site: Site, name: str = "waiting.yaml") -> None:
    """Cancel a request, and let the backend answer again."""
    (who,) = [record.id for record in site.open() if record.name == name]
    site.drop(control("request.cancel", who), "cancel.yaml")
    site.first.missing = set()
    site.back(site.first)


def claims(site: Site) -> dict[str, Any]:
    """Return who claims which object, with what limit."""
    with site.system.journal.reading() as conn:
        held = ledger.everything(conn)
    return {f"{one.claimant} {one.key}": (one.want or {}).get("limit") for one in held}


def test_who_waits_for_what_a_cancelled_request_claimed_goes_on(site: Site) -> None:
    site.first.missing = {"cf"}
    site.drop(allocation(1), "waiting.yaml")
    site.service.lanes["first"].drain()
    site.drop(allocation(1, verb="suspend"), "suspend.yaml")
    cancel(site)
    assert site.open() == []
    assert site.first.rows == {}


def test_a_cancelled_change_leaves_what_was_wanted_before(site: Site) -> None:
    site.request(allocation(1, "ann", files=5))
    waits(site, allocation(1, "ann, bob", files=9))
    cancel(site)
    site.request(RECONCILE)
    assert site.limit("first/account/cf") == "5"
    assert claims(site) == {
        "allocation:1 first/account/cf": "5",
        "allocation:1/user:ann first/member/cf/ann": None,
    }


def test_what_a_cancelled_change_did_already_is_undone(site: Site) -> None:
    site.request(allocation(1, files=5))
    site.first.rows["first/account/cf"]["limit"] = "9"
    waits(site, allocation(1, files=9))
    cancel(site)
    assert site.limit("first/account/cf") == "5"


def test_a_request_that_waits_wants_again_what_a_cancelled_one_replaced(site: Site) -> None:
    waits(site, allocation(1, files=5), "older.yaml")
    waits(site, allocation(1, files=9))
    cancel(site)
    assert site.open() == []
    assert site.limit("first/account/cf") == "5"


def test_what_was_given_back_before_is_not_claimed_again(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    site.request(membership(1, "bob", "remove"))
    waits(site, membership(1, "bob", "add"))
    cancel(site)
    site.request(RECONCILE)
    assert sorted(site.first.rows) == ["first/account/cf", "first/member/cf/ann"]


def test_what_another_claims_too_is_no_longer_claimed_by_a_cancelled_request(site: Site) -> None:
    site.request(allocation(1, files=5))
    waits(site, allocation(2, files=9))
    cancel(site)
    assert claims(site) == {"allocation:1 first/account/cf": "5"}


def test_what_somebody_had_by_a_forgotten_request_stays_theirs(site: Site) -> None:
    site.request(allocation(1, files=5))
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("DELETE FROM step_objects")
    waits(site, allocation(1, files=9))
    cancel(site)
    site.request(RECONCILE)
    assert "first/account/cf" in site.first.rows


def test_a_cancelled_suspension_is_lifted(site: Site) -> None:
    site.request(allocation(1, "ann"))
    waits(site, allocation(1, verb="suspend"))
    cancel(site)
    site.request(RECONCILE)
    assert site.limit("first/account/cf") == "5"


def test_a_suspension_that_was_there_before_a_cancelled_one_stays(site: Site) -> None:
    site.request(allocation(1, "ann"))
    site.request(allocation(1, verb="suspend"))
    waits(site, allocation(1, verb="suspend"))
    cancel(site)
    assert site.limit("first/account/cf") == "0"


def test_what_a_cancelled_request_took_away_goes_and_the_canceller_is_told(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    waits(site, membership(1, "bob", "remove"))
    cancel(site)
    assert "first/member/cf/bob" not in site.first.rows
    told = site.results("done")[-1]
    assert told["action"] == "request.cancel"
    assert "counted from its acceptance" in told["problems"][0]["message"]


# What is another's.


def test_what_was_anothers_from_the_start_is_left_alone_by_every_later_look(site: Site) -> None:
    site.first.rows["first/member/cf/ann"] = {"present": True, "limit": "77"}
    site.first.foreign = {"ann"}
    site.request(allocation(1, "ann"), "first.yaml")
    site.request(allocation(1))
    site.request(RECONCILE)
    assert site.limit("first/member/cf/ann") == "77"
    (first,) = [path.name[:26] for path in (site.spool.root / "failed").glob("*first.yaml")]
    site.request(control("request.retry", first), "retry.yaml")
    assert site.open() == []
    assert site.limit("first/member/cf/ann") == "77"
