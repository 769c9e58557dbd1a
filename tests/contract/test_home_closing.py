"""Homes are closed and opened on a real host; nobody else enters at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.contract import (
    ConfigError,
    Conflict,
)
from provisioner.testing import Ledger
from tests.support.acls import AS_ROOT
from tests.support.homes import (
    JDOE,
    KEY,
    as_user,
    bring,
    by_user,
    faults,
    homes,
    killed_after,
    seen,
)

pytestmark = AS_ROOT


def test_suspending_closes_and_resuming_restores(passable: Path) -> None:
    home, handler = passable / "jdoe", homes(passable)
    ledger = bring(handler, JDOE)
    (home / "thesis").write_text("years of work")
    assert as_user(20001, 20002, home)
    ledger.suspend()
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (0, 20002, 0o1000)
    assert not as_user(20001, 20002, home)
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (20001, 20002, 0o700)
    assert (home / "thesis").read_text() == "years of work"


@pytest.mark.parametrize(
    "site, given, back",
    [
        ("0700", 0o711, 0o711),
        ("0700", 0o777, 0o755),
        ("0770", 0o2777, 0o2775),
        ("0700", 0o1733, 0o1711),
    ],
    ids=["narrow", "everybody's", "the site's group writes", "sticky"],
)
def test_the_mode_that_a_home_had_comes_back_but_for_what_lets_others_write(
    root: Path, site: str, given: int, back: int
) -> None:
    handler = homes(root, mode=site)
    ledger = bring(handler, JDOE)
    (root / "jdoe").chmod(given)
    for suspended, mode in ((True, 0o1000), (False, back)):
        ledger.suspend(suspended)
        assert faults(ledger.run(handler)) == {}
        assert seen(root / "jdoe")[2] == mode


def test_what_nobody_claims_is_closed_and_kept(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    (root / "jdoe" / "thesis").write_text("years of work")
    ledger.withdraw()
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (0, 20002, 0o1000)
    assert (root / "jdoe" / "thesis").read_text() == "years of work"


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_once_closing_has_begun_the_user_cannot_open_it_again(passable: Path, writes: int) -> None:
    home, handler = passable / "jdoe", homes(passable)
    ledger = bring(handler, JDOE)
    ledger.suspend()
    killed_after(writes, ledger, handler)
    assert by_user(20001, 20002, "chmod", "0777", str(home)) is (writes == 0)
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (0, 20002, 0o1000)


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("change", ["closing", "opening"])
def test_at_no_moment_somebody_else_may_enter(passable: Path, change: str, writes: int) -> None:
    home, handler = passable / "jdoe", homes(passable, mode="0750", acl="g:4711:r-x")
    ledger = bring(handler, JDOE)
    ledger.suspend()
    if change == "opening":
        assert faults(ledger.run(handler)) == {}
        ledger.suspend(False)
    killed_after(writes, ledger, handler)
    strangers = {"a user": 20009, "of another group": 4712, "of root's group": 0}
    assert [who for who, gid in strangers.items() if as_user(20009, gid, home)] == []
    assert faults(ledger.run(handler)) == {}
    friends = {"the user": (20001, 20002), "of the group": (20009, 20002), "ACL": (20009, 4711)}
    let_in = [who for who, (uid, gid) in friends.items() if as_user(uid, gid, home)]
    assert let_in == (list(friends) if change == "opening" else [])


def test_a_home_that_was_withdrawn_and_then_suspended_opens_again(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    ledger.withdraw()
    ledger.run(handler)
    ledger.claim(handler, JDOE).suspend()
    assert faults(ledger.run(handler)) == {}
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (20001, 20002, 0o700)


def test_a_closed_home_opens_to_nobody_but_whom_it_belonged_to(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    ledger.withdraw()
    ledger.run(handler)
    (outcome,) = ledger.claim(handler, {**JDOE, "uid": 20009}).run(handler).values()
    assert isinstance(outcome.fault, Conflict)
    assert "belongs to 20001" in outcome.fault.message
    assert seen(root / "jdoe") == (0, 20002, 0o1000)


def test_another_persons_new_home_gets_nothing_of_the_old_one(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    (root / "jdoe").chmod(0o777)
    ledger.withdraw()
    ledger.run(handler)
    (root / "jdoe").rename(root / "archived")
    ledger.claim(handler, {**JDOE, "uid": 20009})
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (20009, 20002, 0o700)


@pytest.mark.parametrize("uid", [0, 20009])
def test_a_suspension_closes_no_directory_of_others(root: Path, uid: int) -> None:
    (root / "jdoe").mkdir(mode=0o755)
    os.chown(root / "jdoe", uid, 100)
    handler = homes(root)
    ledger = Ledger().claim(handler, JDOE)
    ledger.suspend()
    assert isinstance(ledger.run(handler)[KEY].fault, Conflict)
    assert seen(root / "jdoe") == (uid, 100, 0o755)


def test_what_was_closed_under_a_journal_that_is_lost_stays_closed_and_opens_by_adoption(
    root: Path,
) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    ledger.suspend()
    assert faults(ledger.run(handler)) == {}
    after = Ledger().claim(handler, JDOE)
    after.suspend()
    assert faults(after.run(handler)) == {}
    assert seen(root / "jdoe") == (0, 20002, 0o1000)
    after.suspend(False)
    assert isinstance(after.run(handler)[KEY].fault, Conflict)
    assert faults(after.claim(handler, {**JDOE, "adopt": True}).run(handler)) == {}
    assert seen(root / "jdoe") == (20001, 20002, 0o700)


def test_what_is_of_the_system_is_left_when_nobody_claims_it(root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o755)
    handler = homes(root)
    ledger = Ledger().claim(handler, JDOE)
    ledger.withdraw()
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (0, 0, 0o755)


def test_a_site_may_close_by_another_mode(root: Path) -> None:
    handler = homes(root, closed_mode="0500")
    ledger = bring(handler, JDOE)
    ledger.suspend()
    ledger.run(handler)
    assert seen(root / "jdoe") == (0, 20002, 0o1500)


@pytest.mark.parametrize("mode", ["0050", "0005", "0711", "1700"])
def test_a_mode_that_closes_nothing_is_refused_when_the_handler_is_built(
    root: Path, mode: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        homes(root, closed_mode=mode)
    assert "closed_mode" in raised.value.message
