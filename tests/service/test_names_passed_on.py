"""A name that passed to another uid: who has it now has nothing of its former user's."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.config import schema as configuration
from provisioner.journal.records import ledger
from provisioner.system import users
from tests.support import manifest_site
from tests.support.engine_site import Site, allocation, control, membership, release, user
from tests.support.policy_site import OPERATOR, PORTAL, SECOND, now, send, why

POLICY = """\
policy:
  rules:
  - {who: [alice], actions: ["allocation.*", "membership.*", "user.*", reconcile, "request.*"]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""
FORMER, NEW = PORTAL, SECOND
"""The uids of the first and the next user who is called alice."""

SUSPEND = allocation(1, verb="suspend")
LATER = "not_before: 2126-01-01T00:00:00Z\n"
OWN_ONLY = "it is alice's: alice may ask for their own only"
SUSPENDED = user("mallory", "suspend", cause="incident")
RESUMED = user("mallory", "resume", cause="incident")

Give = Callable[[int], None]
"""Gives the name to a uid."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[Give]:
    """Let the name service know alice by one uid at a time; what was remembered is forgotten."""
    by_uid, by_name = pwd.getpwuid, pwd.getpwnam

    def to(uid: int) -> None:
        alice = pwd.struct_passwd(("alice", "x", uid, uid, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", lambda u: alice if u == uid else by_uid(u))
        monkeypatch.setattr(pwd, "getpwnam", lambda n: alice if n == "alice" else by_name(n))
        forget()

    def forget() -> None:
        for known in (users._users, users._submitters):
            for uid in (FORMER, NEW):
                known.pop(uid, None)

    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group])
    to(FORMER)
    yield to
    forget()


@pytest.fixture
def site(tmp_path: Path, given: Give) -> Site:
    """Give a site where the former alice has an allocation and has suspended somebody."""
    return filled(tmp_path, given, POLICY)


def filled(tmp_path: Path, given: Give, policy: str) -> Site:
    site = Site(tmp_path, policy)
    head = "id: p-1\norder: {key: k, number: 9}\n"
    for number, text in enumerate((allocation(1, "ann, bob", head=head), SUSPENDED)):
        assert send(site, FORMER, text, f"{number}.yaml").state == "done"
    given(NEW)
    return site


def members(site: Site) -> set[str]:
    return {key.rpartition("/")[2] for key in site.first.rows if "/member/" in key}


def reasons(site: Site) -> list[str]:
    with site.system.journal.reading() as conn:
        return sorted(ledger.reasons(conn, "user:mallory"))


@pytest.mark.parametrize(
    "text",
    [
        allocation(1, "eve"),
        membership(1, "eve", "add"),
        membership(1, "ann", "remove"),
        SUSPEND,
    ],
    ids=["provision", "add", "remove", "suspend"],
)
def test_who_gets_a_name_has_no_subject_of_its_former_user(site: Site, text: str) -> None:
    asked = send(site, NEW, text)
    assert (asked.writer, asked.state, why(asked)) == ("alice:4713", "refused", OWN_ONLY)
    assert members(site) == {"ann", "bob"}


def test_who_gets_a_name_lifts_no_suspension_of_its_former_user(site: Site) -> None:
    assert send(site, NEW, RESUMED).state == "failed"
    assert send(site, NEW, SUSPENDED).state == "done"
    assert reasons(site) == ["alice: incident", "alice:4713: incident"]
    assert send(site, NEW, RESUMED).state == "done"
    assert reasons(site) == ["alice: incident"]


def test_who_gets_a_name_begins_with_ids_and_orders_of_their_own(site: Site) -> None:
    head = "id: p-1\norder: {key: k, number: 1}\n"
    assert send(site, NEW, allocation(2, "eve", code="cg", head=head)).state == "done"


def test_a_manifest_of_who_gets_a_name_suspends_nothing_of_its_former_users(site: Site) -> None:
    done = manifest_site.reconcile(site, manifest_site.entry(3, "eve"), uid=NEW)
    assert done.state == "done"
    assert "0 suspended" in why(done)
    assert members(site) == {"ann", "bob", "eve"}


def test_who_gets_a_name_steers_their_own_requests(site: Site) -> None:
    later = f"id: mine\n{LATER}"
    waits = send(site, NEW, allocation(2, "eve", code="cg", head=later))
    for verb, state in (("hold", "held"), ("release", "scheduled"), ("cancel", "cancelled")):
        text = release(waits) if verb == "release" else control(f"request.{verb}", "mine")
        assert send(site, NEW, text, "v.yaml").state == "done"
        assert now(site, waits).state == state


def test_what_waits_of_who_got_a_name_is_judged_by_their_rights(site: Site) -> None:
    waits = send(site, NEW, allocation(2, "eve", code="cg", head=LATER))
    send(site, OPERATOR, control("request.hold", waits.id), "h.yaml")
    send(site, OPERATOR, release(waits), "y.yaml")
    assert now(site, waits).state == "scheduled"


def test_what_a_former_user_held_of_their_own_is_not_released_by_who_has_the_name(
    tmp_path: Path, given: Give
) -> None:
    site = filled(tmp_path, given, POLICY.replace("[alice]", "[alice], others: true"))
    given(FORMER)
    held = send(site, FORMER, allocation(2, "ann", code="cg", head=LATER))
    send(site, FORMER, control("request.hold", held.id), "h.yaml")
    given(NEW)
    assert send(site, NEW, release(held), "y.yaml").state == "refused"
    assert now(site, held).state == "held"


def test_who_gets_a_name_is_the_same_other_writer_after_a_restart(site: Site) -> None:
    own = send(site, NEW, allocation(2, "eve", code="cg"))
    site.start()
    more = send(site, NEW, allocation(2, "eve, mia", code="cg"))
    assert (own.writer, more.writer, more.state) == ("alice:4713", "alice:4713", "done")
    assert send(site, NEW, allocation(1, "eve")).state == "refused"


def test_who_has_the_name_and_the_uid_again_has_their_own_again(site: Site, given: Give) -> None:
    given(FORMER)
    assert send(site, FORMER, allocation(1, "ann")).state == "done"
    assert send(site, FORMER, RESUMED).state == "done"
    assert (members(site), reasons(site)) == ({"ann"}, [])


def test_an_operator_continues_what_a_former_user_had(site: Site) -> None:
    assert send(site, OPERATOR, allocation(1, "ann")).state == "done"
    assert members(site) == {"ann"}


# Accounts that go by their name.


@pytest.mark.parametrize("line", ["portals: [alice]", "by_name: [alice]", 'by_name: ["al*"]'])
def test_a_service_that_is_made_again_with_another_uid_has_what_it_had(
    tmp_path: Path, given: Give, line: str
) -> None:
    site = filled(tmp_path, given, POLICY.replace("policy:", f"policy:\n  {line}"))
    asked = send(site, NEW, allocation(1, "ann"))
    assert (asked.writer, asked.state) == ("alice", "done")
    assert send(site, NEW, RESUMED).state == "done"
    late = allocation(1, "eve", head="order: {key: k, number: 1}\n")
    assert send(site, NEW, late).state == "superseded"


def test_an_account_that_went_by_its_name_once_has_it_from_then_on(
    tmp_path: Path, given: Give
) -> None:
    site = filled(tmp_path, given, POLICY.replace("policy:", "policy:\n  by_name: [alice]"))
    send(site, NEW, allocation(1, "ann"))
    file = site.root / "provisioner.yaml"
    file.write_text(file.read_text().replace("by_name: [alice]", "by_name: []"))
    site.config = configuration.load(file)
    site.start()
    assert send(site, NEW, allocation(1, "bob")).writer == "alice"
    given(FORMER)
    assert send(site, FORMER, allocation(1, "ann")).writer == "alice:4711"
