"""A line that said what is so is not read again. Whatever else decides about it still counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.contract import Key, Want
from provisioner.manifests.matches import Match, Matches
from provisioner.system import users
from tests.support.clocks import Clocks
from tests.support.ends_site import DAY, look
from tests.support.engine_site import CONFIG, Accounts, Site, control
from tests.support.manifest_site import Line, ask, entry, members, newest, own, reconcile, told

PORTAL = 4711
POLICY = """\
policy:
  mass: {users: 3, share: 20}
  portals: ["@portals"]
  rules:
  - {who: [uid-4711], actions: ["*"], others: true, numbers: true}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the accounts that handlers were asked about: a line that is read asks about its own."""
    names: list[str] = []
    claims = Accounts.claims

    def noted(self: Accounts, params: Mapping[str, object]) -> Mapping[Key, Want]:
        names.append(str(params["account"]))
        return claims(self, params)

    monkeypatch.setattr(Accounts, "claims", noted)
    return names


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site whose portal has sent a manifest twice: the second said what was so."""
    site = Site(tmp_path, POLICY)
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    assert "0 requested" in told(reconcile(site, entry(1, "ann"), entry(2, "bob")))
    return site


def person(*, gid: int) -> Line:
    """Write a person as a manifest lists them."""
    return {"action": "user.provision", "user": {"name": "ann", "uid": 5, "gid": gid}}


def belong(groups: set[str], patch: pytest.MonkeyPatch) -> None:
    """Let the portal be in some groups of the host from now on."""
    user = users.Submitter(PORTAL, f"uid-{PORTAL}", frozenset(groups))
    patch.setitem(users._submitters, PORTAL, (math.inf, user))


def test_only_lines_that_are_new_are_read(site: Site, asked: list[str]) -> None:
    asked.clear()
    found = reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(3, "eve"))
    assert "1 requested, 0 suspended, 0 resumed, 2 as listed" in told(found)
    assert set(asked) == {"cf3"}
    assert members(site) == {"cf1/ann", "cf2/bob", "cf3/eve"}


def test_what_somebody_changed_in_the_backend_is_seen_and_mended(
    site: Site, asked: list[str]
) -> None:
    asked.clear()
    del site.first.rows["first/member/cf1/ann"]
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    assert members(site) == {"cf1/ann", "cf2/bob"}
    assert asked == []


def claimed_more(site: Site) -> None:
    ask(site, entry(1, "ann", "eve"))


def claimed_again(site: Site) -> None:
    ask(site, entry(1, "ann"))


def claimed_by_another(site: Site) -> None:
    ask(site, entry(1, "ann"), uid=0)


def left_out(site: Site) -> None:
    reconcile(site, entry(2, "bob"))


def taken_back(site: Site) -> None:
    site.request(
        "provisioner: 1\naction: membership.remove\nmembership:\n  user: ann\n"
        "  allocation: {id: 1, resource: one, project: {code: cf1}}\n"
    )


def held(site: Site) -> None:
    site.first.away = True
    ask(site, entry(1, "ann", files=7))
    (waiting,) = site.open()
    site.drop(control("request.hold", waiting.id), "hold.yaml")
    site.back(site.first)


def cancelled(site: Site) -> None:
    site.first.away = True
    ask(site, entry(1, "ann", files=7))
    (waiting,) = site.open()
    site.drop(control("request.cancel", waiting.id), "cancel.yaml")
    site.back(site.first)


def under_way(site: Site) -> None:
    site.first.away = True
    ask(site, entry(1, "ann", files=7))


def dated(site: Site) -> None:
    ends = datetime.fromtimestamp(time.time() + 60 * DAY, UTC)
    ask(site, {**entry(1, "ann"), "ends": ends.isoformat()})


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (claimed_more, "1 requested, 0 suspended, 0 resumed, 1 as listed"),
        (claimed_again, "0 requested, 0 suspended, 0 resumed, 2 as listed"),
        (claimed_by_another, "1 of other writers"),
        (left_out, "0 requested, 0 suspended, 1 resumed, 2 as listed"),
        (taken_back, "1 requested, 0 suspended, 0 resumed, 1 as listed"),
        (held, "1 with a held request"),
        (cancelled, "0 requested, 0 suspended, 0 resumed, 2 as listed"),
        (under_way, "1 requested, 0 suspended, 0 resumed, 1 as listed"),
        (dated, "1 requested, 0 suspended, 0 resumed, 1 as listed"),
    ],
)
def test_what_happened_to_its_subject_between_counts(
    site: Site, between: Callable[[Site], None], said: str
) -> None:
    between(site)
    assert said in told(reconcile(site, entry(1, "ann"), entry(2, "bob")))


def test_what_was_claimed_after_the_manifests_moment_is_left_alone(site: Site) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    found = reconcile(site, entry(1, "ann"), entry(2, "bob"), as_of=before)
    assert "2 claimed later" in told(found)


def test_access_that_ended_at_its_date_stays_as_listed(tmp_path: Path, clocks: Clocks) -> None:
    site = Site(tmp_path, POLICY)
    ends = datetime.fromtimestamp(time.time() + 3 * DAY, UTC).isoformat()
    line = {**entry(1, "ann"), "ends": ends}
    reconcile(site, line)
    assert "1 as listed" in told(reconcile(site, line))
    clocks.go(4 * DAY)
    look(site)
    assert members(site) == set()
    assert "1 as listed" in told(reconcile(site, line))
    assert members(site) == set()
    assert "1 requested" in told(reconcile(site, entry(1, "ann")))


def test_a_writer_with_other_rights_since_is_judged_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    belong({"portals"}, monkeypatch)
    site = Site(tmp_path, POLICY)
    line = entry(1, "ann", "no-name-here")
    reconcile(site, line)
    assert "1 as listed" in told(reconcile(site, line))  # a portal goes on without the other user
    belong(set(), monkeypatch)
    assert "1 that are wrong" in told(reconcile(site, line))


def test_the_same_line_of_another_writer_is_read(site: Site, asked: list[str]) -> None:
    asked.clear()
    found = reconcile(site, entry(1, "ann"), entry(2, "bob"), uid=0)
    assert "2 of other writers" in told(found)
    assert set(asked) == {"cf1", "cf2"}


def test_a_subject_that_is_listed_twice_refuses_the_whole(site: Site) -> None:
    found = reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(1, "ann"))
    assert "allocation:1 is listed twice" in told(found)
    again = reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(2, "bob", "eve"))
    assert "allocation:2 is listed twice" in told(again)


def test_a_line_with_an_id_is_read_each_time_to_be_answered(site: Site, asked: list[str]) -> None:
    lines = own(1, entry(1, "ann")), entry(2, "bob")
    reconcile(site, *lines)
    reconcile(site, *lines)
    asked.clear()
    reconcile(site, *lines)
    assert set(asked) == {"cf1"}


def test_what_a_request_under_way_asks_for_counts_before_its_claims_say_so(tmp_path: Path) -> None:
    """Until its step begins, a claim has the want of the request before."""
    late = CONFIG.replace(
        'limit: "{{ steps.early.output.limit }}"}', 'limit: "{{ user.gid }}"}\n      needs: [early]'
    )
    assert late != CONFIG
    site = Site(tmp_path, POLICY, late)
    small, large = person(gid=5), person(gid=7)
    reconcile(site, small)
    assert "1 as listed" in told(reconcile(site, small))
    site.first.away = True
    ask(site, large)
    (waiting,) = site.open()
    assert "1 as listed" in told(reconcile(site, large))
    assert "1 requested" in told(reconcile(site, small))
    site.drop(control("request.cancel", newest(site, "all.jsonl-1.json").id), "cancel.yaml")
    site.drop(control("request.cancel", waiting.id), "cancel.yaml")
    site.back(site.first)
    assert "1 requested" in told(reconcile(site, large))


def test_another_process_with_another_configuration_reads_every_line(site: Site) -> None:
    site.spool.close()
    site.system.journal.close()
    other = CONFIG.replace("{{ allocation.quota.files }}", "{{ allocation.quota.files }}0")
    again = Site(site.root, POLICY, other)
    assert "2 requested" in told(reconcile(again, entry(1, "ann"), entry(2, "bob")))
    assert again.limit("first/account/cf1") == "50"


def test_the_lines_used_least_lately_are_forgotten_first(site: Site, asked: list[str]) -> None:
    site.service.house.portions._matches = Matches(most=2)
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    ask(site, entry(3, "eve"))
    reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(3, "eve"))
    asked.clear()
    reconcile(site, entry(3, "eve"), entry(2, "bob"), entry(1, "ann"))
    assert set(asked) == {"cf1"}


def test_a_line_that_is_found_again_is_kept_longer_than_one_that_is_not() -> None:
    matches, match = Matches(most=2), Match("allocation:1", None, b"")
    for name in (b"old", b"used"):
        matches.keep(name, match)
    matches.keep(b"old", match)
    matches.find(b"used")
    matches.keep(b"new", match)
    assert [matches.find(name) is None for name in (b"old", b"used", b"new")] == [
        True,
        False,
        False,
    ]
