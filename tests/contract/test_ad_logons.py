"""When people last logged on, by Active Directory: emulated, and Samba of the lab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from handlers.ldap import ad_account, adlds_account
from handlers.ldap.directory.client import Directory
from provisioner.contract import Fault, Permanent, Unavailable
from provisioner.contract.abilities import Witnesses
from tests.support import ad_backends
from tests.support.ad_backends import Backend

DAY = 86400.0


@pytest.fixture(params=ad_backends.backends("ad"))
def ad(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Backend]:
    yield from ad_backends.make(request.param, tmp_path)  # type: ignore[arg-type]


@pytest.fixture
def alone(tmp_path: object) -> Backend:
    """An emulated directory, where this test may write what only a server does."""
    return ad_backends.emulated(tmp_path, "ad")  # type: ignore[arg-type]


def witness(ad: Backend, base: str = "", mode: str = "lookup") -> Witnesses:
    given = {**ad.settings(mode=mode, domain="campus.test"), "base": base or ad.base}
    return cast(Witnesses, ad_account.build(ad.site("ad"), given))


def ticks(at: float) -> str:
    """Return a time as Active Directory writes it: 100 ns since 1601."""
    return str(int((at + 11_644_473_600) * 10**7))


def test_a_directory_in_which_nobody_ever_logged_on_does_not_count(ad: Backend) -> None:
    for number in range(3):
        ad.user(ad.name(f"u{number}"))
    with pytest.raises(Unavailable, match=r"no account below .* has a lastLogonTimestamp"):
        witness(ad).last_used(0.0, time.time())


@pytest.mark.lab
def test_samba_notes_who_logs_on_and_for_how_long_it_notes_nothing(tmp_path: object) -> None:
    [ad] = list(ad_backends.make(("lab", "ad"), tmp_path))  # type: ignore[arg-type]
    ad.directory().read(ad.base, ["ou"])  # the bind is a logon of the service's own account
    used = witness(ad, str(ad.base.partition(",")[2])).last_used(0.0, time.time())
    assert used.lag == 14 * DAY
    assert 0 <= time.time() - used.last["administrator"] < 14 * DAY + 3600


@pytest.mark.parametrize("mode", ["lookup", "manage"])
def test_each_account_has_its_last_logon_whatever_its_case(alone: Backend, mode: str) -> None:
    at = 1_700_000_000.0
    alone.user("Ann", lastLogonTimestamp=ticks(at))
    alone.user("bob", lastLogonTimestamp="0")
    alone.user("cat")
    used = witness(alone, mode=mode).last_used(0.0, time.time())
    assert (used.last, used.lag) == ({"ann": at}, 14 * DAY)


def test_many_accounts_are_a_few_pages(alone: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = alone.directory()
    for number in range(1200):
        dn = f"cn=u{number},OU=people,{alone.base}"
        given = {"objectClass": ["top", "person", "organizationalPerson", "user"]}
        more = {"sAMAccountName": f"u{number}", "lastLogonTimestamp": ticks(1.7e9 + number)}
        directory.add(dn, {**given, **more})
    searches = 0
    search = Directory.search

    def counted(self: Directory, *words: object, **more: object) -> object:
        nonlocal searches
        searches += 1
        return search(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Directory, "search", counted)
    used = witness(alone).last_used(0.0, time.time())
    assert (len(used.last), searches) == (1200, 1)


@pytest.mark.parametrize(
    ("days", "lag"), [(None, 14 * DAY), ("5", 5 * DAY), ("0", None)], ids=["unset", "5", "off"]
)
def test_the_domain_says_how_late_a_logon_is_noted(
    alone: Backend, days: str | None, lag: float | None
) -> None:
    alone.user("ann", lastLogonTimestamp=ticks(1.7e9))
    if days is not None:
        alone.directory().replace(alone.base, {"msDS-LogonTimeSyncInterval": days})
    if lag is None:
        with pytest.raises(Permanent, match="does not note logons"):
            witness(alone).last_used(0.0, time.time())
    else:
        assert witness(alone).last_used(0.0, time.time()).lag == lag


def test_a_domain_that_cannot_be_read_does_not_count(alone: Backend) -> None:
    alone.user("ann", lastLogonTimestamp=ticks(1.7e9))
    with pytest.raises(Fault):
        witness(alone, "OU=people,DC=other,DC=test").last_used(0.0, time.time())


def test_a_directory_that_notes_no_logons_says_so(tmp_path: object) -> None:
    lds = ad_backends.emulated(tmp_path, "adlds")  # type: ignore[arg-type]
    handler = adlds_account.build(replace(lds).site("lds"), lds.settings())
    with pytest.raises(Permanent, match="does not note when people log on"):
        cast(Witnesses, handler).last_used(0.0, time.time())
