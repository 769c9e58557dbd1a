"""`mode: observe`: requests are accepted, every backend is read, and none is written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from provisioner.config import schema
from provisioner.inspection import drift
from provisioner.inspection.daily_report import KEPT
from provisioner.journal import audit, facts
from provisioner.journal.records import request_rows, step_rows
from tests.support.engine_site import Site, allocation, control, membership, user

RELEASE = "provisioner: 1\naction: journal.release\n"
OBSERVE = "mode: observe\n"


def observing(tmp_path: Path) -> Site:
    """Have a service that observes beside the scripts that made cf with ann and bob."""
    site = Site(tmp_path, OBSERVE)
    for name in ("account/cf", "member/cf/ann", "member/cf/bob"):
        site.first.rows[f"first/{name}"] = {"present": True, "limit": "5"}
    return site


def converge(site: Site) -> None:
    """Change the configuration, and start the service anew."""
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace(OBSERVE, "mode: converge\n"))
    site.config = schema.load(path)
    site.start()


def head(site: Site, name: str = "r.yaml") -> request_rows.Record:
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def receipt(site: Site, name: str) -> dict[str, object]:
    """Read the receipt of a file's newest request."""
    found = [yaml.safe_load(p.read_text()) for p in site.spool.receipts.rglob("*.yaml")]
    return max((one for one in found if one["request"] == name), key=lambda one: str(one["id"]))


EACH = {
    "user.provision": user("eve", uid=7000),
    "user.suspend": user("ann", "suspend"),
    "user.resume": user("ann", "resume"),
    "allocation.provision": allocation(1, "ann, eve", files=9),
    "allocation.suspend": allocation(1, verb="suspend"),
    "allocation.resume": allocation(1, verb="resume"),
    "membership.add": membership(1, "eve", "add"),
    "membership.remove": membership(1, "bob", "remove"),
    "project.provision": "provisioner: 1\naction: project.provision\nproject: {code: cf}\n",
    "project.archive": "provisioner: 1\naction: project.archive\nproject: {code: cf}\n",
    "reconcile": "provisioner: 1\naction: reconcile\n",
}


@pytest.mark.parametrize("action", EACH)
def test_a_request_of_any_kind_is_accepted_and_writes_nothing(tmp_path: Path, action: str) -> None:
    site = observing(tmp_path)
    site.request(allocation(1, "ann, bob"), "known.yaml")
    site.first.rows["first/account/cf"]["limit"] = "77"
    before = deepcopy((site.first.rows, site.second.rows))
    site.request(EACH[action])
    site.start()
    site.drain()
    assert (site.first.rows, site.second.rows) == before
    assert site.first.calls == site.second.calls == []
    assert head(site).state in ("accepted", "deferred", "done")
    assert site.states()["failed"] == []


def test_what_is_as_wanted_is_done_and_what_is_not_waits_as_observed(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.request(allocation(1, "ann, bob"), "fits.yaml")
    site.request(allocation(2, "eve", code="other"), "differs.yaml")
    assert receipt(site, "fits.yaml")["state"] == "done"
    assert receipt(site, "differs.yaml")["state"] == "observed"


Spoil = Callable[[Site], None]
SPOILED: dict[str, Spoil] = {
    "is not ready": lambda site: site.first.missing.update({"cf", "ann"}),
    "is another's": lambda site: site.first.foreign.update({"cf", "ann"}),
    "would be changed": lambda site: site.first.rows["first/account/cf"].update(limit="77"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_waits_neither_fails_nor_uses_up_its_patience(tmp_path: Path, what: str) -> None:
    site = observing(tmp_path)
    site.service.lanes["first"]._patience = site.service.lanes["first"]._patience.__class__(
        first=0.001, most=0.001, tries=1, days=1e-9
    )
    SPOILED[what](site)
    site.request(allocation(1, "ann, bob"))
    one = head(site)
    assert one.state == "deferred"
    with site.system.journal.reading() as conn:
        waiting = step_rows.waiting_for(conn, [one.id])[one.id]
    assert waiting
    assert all(one["due"] is not None for one in waiting)


def test_a_reconcile_waits_for_nothing_as_it_comes_again_each_hour(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.request(allocation(1, "ann, eve"), "waits.yaml")
    site.request("provisioner: 1\naction: reconcile\n", "all.yaml")
    done = head(site, "all.yaml")
    assert done.state == "done"
    assert "only observes" in " ".join(one["message"] for one in done.problems or ())
    assert [one.name for one in site.open()] == ["waits.yaml"]


def test_nobody_releases_it_while_the_configuration_says_so(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.request(RELEASE)
    [problem] = head(site).problems or []
    assert "mode: observe" in problem["message"]
    assert all(lane.observing for lane in site.service.lanes.values())


def test_it_goes_on_observing_until_a_person_releases_it(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.request(allocation(2, "eve", code="other"), "other.yaml")
    converge(site)
    site.drain()
    assert site.first.calls == []
    assert receipt(site, "other.yaml")["state"] == "observed"
    site.request(RELEASE)
    assert "first/member/other/eve" in site.first.rows
    assert receipt(site, "other.yaml")["state"] == "done"
    site.start()
    assert not any(lane.observing for lane in site.service.lanes.values())


def test_what_was_another_s_all_the_time_fails_after_the_release(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.first.foreign.add("cf")
    site.request(allocation(1, "ann"), "foreign.yaml")
    converge(site)
    site.request(RELEASE)
    assert head(site, "foreign.yaml").state == "failed"


def test_the_audit_trail_says_when_it_began_and_who_ended_it(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.start()
    converge(site)
    site.request(RELEASE)
    with site.system.journal.reading() as conn:
        kinds = [entry.kind for entry in audit.trail(conn)]
        assert audit.verify(conn).problem == ""
    assert kinds.count("observing") == 1
    assert kinds.count("journal released") == 1


def test_a_service_that_wrote_may_be_put_back_to_observing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann"))
    calls = len(site.first.calls)
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text() + OBSERVE)
    site.config = schema.load(path)
    site.start()
    site.request(allocation(1, "ann", files=9))
    assert len(site.first.calls) == calls
    with site.system.journal.reading() as conn:
        assert facts.get(conn, facts.OBSERVING) == facts.CONFIGURED


# The report.


def test_the_report_says_what_would_be_done_closed_and_what_nobody_explains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = observing(tmp_path)
    site.request(allocation(1, "ann, bob"))
    site.request(allocation(2, "eve", code="other"))
    site.request(membership(1, "bob", "remove"))
    site.first.rows["first/account/old"] = {"present": True, "limit": "1"}
    site.second.away = True
    with caplog.at_level(logging.WARNING):
        path = site.service.house.reporter.report()
    assert path is not None
    assert path.parent == site.config.spool / "drift"
    text = path.read_text()
    changed, closed = text.split("would be closed or removed:")
    assert "first/account/other: add first/account/other (asked for by root)" in changed
    assert "first/member/cf/bob: remove first/member/cf/bob" in closed
    assert "  first/account/old\n" in text
    assert "1 are unexplained" in text.splitlines()[-1]
    assert str(path) in caplog.text
    assert site.first.calls == []


def test_there_is_a_report_a_day_and_the_oldest_go(tmp_path: Path) -> None:
    site = observing(tmp_path)
    day = 86400.0
    assert site.service.house.reporter.due(0.0)
    for number in range(KEPT + 3):
        site.service.house.reporter.report(number * day)
    assert len(list((site.config.spool / "drift").iterdir())) == KEPT
    last = (KEPT + 2) * day
    assert not site.service.house.reporter.due(last + day / 2)
    assert site.service.house.reporter.due(last + day)


def test_who_converges_reports_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.service.house.reporter.report() is None


def test_what_policy_protects_needs_no_explanation(tmp_path: Path) -> None:
    site = Site(tmp_path, "policy: {protected: {accounts: [legacy*]}}\n")
    for name in ("root", "legacy1", "old"):
        site.first.rows[f"first/account/{name}"] = {"present": True, "limit": "1"}
    found = drift.whole(site.system)
    assert [one.key for one in found.unexplained] == ["first/account/old"]


def test_a_backend_that_cannot_be_listed_is_named_and_hides_no_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.first.rows["first/account/old"] = {"present": True, "limit": "1"}
    site.second.broken = True
    found = drift.whole(site.system)
    assert [one.key for one in found.unexplained] == ["first/account/old"]
    assert found.unread == {"second": "its inventory failed: RuntimeError('broken')"}


def test_a_held_request_stays_held_and_may_be_cancelled_meanwhile(tmp_path: Path) -> None:
    site = observing(tmp_path)
    site.request(allocation(2, "eve", code="other"), "other.yaml")
    site.request(control("request.cancel", head(site, "other.yaml").id))
    assert head(site, "other.yaml").state == "cancelled"
