"""Which programs a lab runs.

Leaves out: what differs between versions; docs/versions.md says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.lab import inside
from deploy.lab.place import Lab
from deploy.lab.write import run

ASKED = {
    "slurm": ("slurmd", "-V"),
    "mariadb": ("mariadbd", "--version"),
    "samba": ("samba", "--version"),
    "slapd": ("slapd", "-VV"),
}
"""What prints a version: `slurm-wlm 22.05.8`, `mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for ...`,
`Version 4.17.12-Debian`, `@(#) $OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12) $`."""


def versions(lab: Lab) -> Mapping[str, str]:
    """Ask the programs inside which they are. The namespaces must be there."""
    return {name: version(lab, name) for name in ASKED}


def version(lab: Lab, name: str) -> str:
    """Ask one of them. name: of ASKED."""
    return number(run(*inside.entering(lab.directory), *ASKED[name]))


def number(text: str) -> str:
    """Find the version in what a program prints of itself; '' where there is none."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else ""


def at_least(version: str, oldest: str) -> bool:
    """Return True if a version is that one or later, number by number: 26.05.5 is, for 24.11."""
    return [*map(int, version.split("."))] >= [*map(int, oldest.split("."))]
