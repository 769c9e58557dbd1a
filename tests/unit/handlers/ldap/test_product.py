"""Which program a directory says it is stands beside those that were tried."""

from __future__ import annotations

import pytest

from handlers.ldap.directory.product import judged, openldap
from provisioner.contract import Finding, Level

SAMBA = "Samba Team (https://www.samba.org)"


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("4.17.12-Debian", Level.OK, "Samba 4.17.12: tested"),
        ("4.22.11-Debian-4.22.11+dfsg-0+deb13u1", Level.OK, "Samba 4.22.11: tested"),
        ("4.25.1", Level.OK, "Samba 4.25.1: tested"),
        ("4.2.1", Level.WARNING, "Samba 4.2.1: not tested, unlike 4.17, 4.22, 4.25"),
        ("4.23.0pre1-GIT", Level.WARNING, "Samba 4.23.0pre1: not tested"),
        ("", Level.WARNING, "Samba : not tested"),
    ],
)
def test_a_samba_was_tried_or_was_not(version: str, level: Level, words: str) -> None:
    told = {"vendorName": SAMBA, "vendorVersion": version, "domainControllerFunctionality": "4"}
    [found] = judged("ad", told)
    assert (found.level, found.subject) == (level, "ad")
    assert words in found.message
    assert bool(found.advice) is (level is Level.WARNING)


def test_microsofts_own_directory_was_not_tried() -> None:
    [found] = judged("ad", {"domainControllerFunctionality": "7"})
    assert found.level is Level.WARNING
    assert "functional level 7: not tested" in found.message


@pytest.mark.parametrize("told", [{}, {"vendorName": "", "vendorVersion": ""}])
def test_nothing_is_said_of_a_directory_that_does_not_tell(told: dict[str, str]) -> None:
    assert judged("ad", told) == list[Finding]()


@pytest.mark.parametrize(
    ("monitored", "level", "words"),
    [
        ("OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12)", Level.OK, "2.5.13: tested"),
        ("OpenLDAP: slapd 2.6.10+dfsg-1", Level.OK, "OpenLDAP 2.6.10: tested"),
        ("OpenLDAP: slapd 2.4.57", Level.WARNING, "2.4.57: not tested, unlike 2.5, 2.6"),
        ("OpenLDAP: slapd 3.0", Level.WARNING, "OpenLDAP 3.0: not tested"),
        ("", Level.OK, "does not say its version here; tested: 2.5, 2.6"),
    ],
)
def test_an_openldap_was_tried_or_was_not(monitored: str, level: Level, words: str) -> None:
    found = openldap("ldap", monitored)
    assert (found.level, found.subject) == (level, "ldap")
    assert words in found.message
    assert bool(found.advice) is (level is Level.WARNING)
