"""Which product a directory says it is, and whether that product was tested.

Promises: reads only the root DSE, and cn=Monitor of an OpenLDAP, which names no version elsewhere.
Source: RFC 3045 (vendorName, vendorVersion; Samba: `Samba Team (https://www.samba.org)`,
`4.22.11-Debian`), MS-ADTS 3.1.1.3.2.25 (domainControllerFunctionality), slapd-monitor(5)
(monitoredInfo: `OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12)`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from handlers.ldap.directory.client import Directory
from provisioner.contract import Fault, Finding, Level

TRIED = ("4.17", "4.22", "4.25")
"""Samba series on which every contract test passed: docs/versions.md."""

OPENLDAP = ("2.5", "2.6")
"""OpenLDAP series on which every contract test passed."""

ASKED = ("objectClass", "vendorName", "vendorVersion", "domainControllerFunctionality")

_ADVICE = (
    "the service reads back every write here, too; test a request of each kind before you rely on "
    "it, and read docs/versions.md"
)


def product(directory: Directory, instance: str) -> list[Finding]:
    """Return which product answers; [] if it does not say. Raises the faults of reading."""
    entry = directory.read("", ASKED)
    told = {name: next(iter(entry.texts(name)), "") for name in ASKED} if entry else {}
    if entry and "OpenLDAProotDSE" in entry.texts("objectClass"):
        return [openldap(instance, _monitored(directory))]
    return judged(instance, told)


def _monitored(directory: Directory) -> str:
    """Return what cn=Monitor says of a slapd; '' if it is not there, or not for us."""
    try:
        entry = directory.read("cn=Monitor", ["monitoredInfo"])
    except Fault:
        return ""
    return next(iter(entry.texts("monitoredInfo")), "") if entry else ""


def openldap(instance: str, monitored: str) -> Finding:
    """Return how an OpenLDAP compares with what was tested. monitored: its monitoredInfo, or ''."""
    version = re.search(r"slapd (\d+\.\d+)(\.\d+)?", monitored)
    if version is None:
        message = f"OpenLDAP, which does not say its version here; tested: {', '.join(OPENLDAP)}"
        return Finding(Level.OK, instance, message)
    number = version[0].removeprefix("slapd ")
    if version[1] in OPENLDAP:
        return Finding(Level.OK, instance, f"OpenLDAP {number}: tested")
    message = f"OpenLDAP {number}: not tested, unlike {', '.join(OPENLDAP)}"
    return Finding(Level.WARNING, instance, message, _ADVICE)


def judged(instance: str, root_dse: Mapping[str, str]) -> list[Finding]:
    """Return how a root DSE compares with what was tested. root_dse: first value of each of
    ASKED."""
    version = root_dse.get("vendorVersion", "").partition("-")[0]
    if root_dse.get("vendorName", "").startswith("Samba"):
        if ".".join(version.split(".")[:2]) in TRIED:
            return [Finding(Level.OK, instance, f"Samba {version}: tested")]
        message = f"Samba {version}: not tested, unlike {', '.join(TRIED)}"
        return [Finding(Level.WARNING, instance, message, _ADVICE)]
    if level := root_dse.get("domainControllerFunctionality"):
        message = (
            f"Active Directory or AD LDS at functional level {level}: not tested, unlike Samba"
        )
        return [Finding(Level.WARNING, instance, message, _ADVICE)]
    return []
