"""Which product a directory says it is, and whether that product was tested.

Promises: reads only the root DSE. Leaves out: OpenLDAP, which does not name itself. Source: RFC
3045 (vendorName, vendorVersion; Samba: `Samba Team (https://www.samba.org)`, `4.22.11-Debian`),
MS-ADTS 3.1.1.3.2.25 (domainControllerFunctionality).
"""

from __future__ import annotations

from collections.abc import Mapping

from handlers.ldap.directory.client import Directory
from provisioner.contract import Finding, Level

TRIED = ("4.17", "4.22", "4.25")
"""Samba series on which every contract test passed: docs/versions.md."""

ASKED = ("vendorName", "vendorVersion", "domainControllerFunctionality")

_ADVICE = (
    "the service reads back every write here, too; test a request of each kind before you rely on "
    "it, and read docs/versions.md"
)


def product(directory: Directory, instance: str) -> list[Finding]:
    """Return which product answers; [] if it does not say. Raises the faults of reading."""
    entry = directory.read("", ASKED)
    told = {name: next(iter(entry.texts(name)), "") for name in ASKED} if entry else {}
    return judged(instance, told)


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
