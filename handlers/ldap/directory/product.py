"""Which program a directory says it is, and whether that one was tried.

Promises: reads the root DSE alone. Leaves out: OpenLDAP, which does not tell who asks.
Source: RFC 3045 (vendorName, vendorVersion; Samba: `Samba Team (https://www.samba.org)`,
`4.22.11-Debian`), MS-ADTS 3.1.1.3.2.25 (domainControllerFunctionality).
"""

from __future__ import annotations

from collections.abc import Mapping

from handlers.ldap.directory.client import Directory
from provisioner.contract import Finding, Level

TRIED = ("4.17", "4.22", "4.25")
"""Series of Samba over which every contract test passed: docs/versions.md."""

ASKED = ("vendorName", "vendorVersion", "domainControllerFunctionality")

_ADVICE = (
    "every write is read back here as well; try a request of each kind before you rely on it, and "
    "see docs/versions.md"
)


def product(directory: Directory, instance: str) -> list[Finding]:
    """Say which program answers; nothing of one that does not tell. Raises what reading raises."""
    entry = directory.read("", ASKED)
    told = {name: next(iter(entry.texts(name)), "") for name in ASKED} if entry else {}
    return judged(instance, told)


def judged(instance: str, root_dse: Mapping[str, str]) -> list[Finding]:
    """Hold what a root DSE tells against what was tried. told: the first value of each of ASKED."""
    version = root_dse.get("vendorVersion", "").partition("-")[0]
    if root_dse.get("vendorName", "").startswith("Samba"):
        if ".".join(version.split(".")[:2]) in TRIED:
            return [Finding(Level.OK, instance, f"Samba {version}: tried")]
        message = f"Samba {version}: not tried, unlike {', '.join(TRIED)}"
        return [Finding(Level.WARNING, instance, message, _ADVICE)]
    if level := root_dse.get("domainControllerFunctionality"):
        message = f"Active Directory or AD LDS at functional level {level}: not tried, unlike Samba"
        return [Finding(Level.WARNING, instance, message, _ADVICE)]
    return []
