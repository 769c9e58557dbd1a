"""The names of ColdFront's attributes, and their values as an admin typed them.

Promises: pure functions. Leaves out: what an attribute means (`mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

RESOURCE = "provisioner_resource"
NONE = "-"
"""The value of RESOURCE for a resource that is never provisioned; it overrides CLUSTER."""
CLUSTER = "slurm_cluster"
ACCOUNT = "slurm_account_name"
PARENT = "slurm_parent"
SPECS = "slurm_specs"
USER_SPECS = "slurm_user_specs"
SPACE = "Storage Quota (GB)"
FILES = "Storage Quota (files)"
FILESET = "fileset_name"
PATH = "fileset_path"
KIND = "fileset_kind"
GID = "project_gid"

_SPACE = re.compile(r"storage quota \(([kmgtpe]?i?b)\)", re.IGNORECASE)

Attributes = Mapping[str, tuple[str, ...]]


def given(attributes: Attributes, name: str) -> tuple[str, ...]:
    """Return an attribute's values, stripped, without empty ones."""
    return tuple(value.strip() for value in attributes.get(name, ()) if value.strip())


def spaces(attributes: Attributes, gb: str) -> dict[str, str]:
    """Return the unit of each filled-in attribute that gives an amount of space, by its name.

    gb: the site's meaning of GB, "GB" or "GiB"; TB and the others follow it. A name such as
    `Storage Quota (TiB)` is already exact.
    """
    units = {}
    for name in sorted(attributes):
        match = _SPACE.fullmatch(name.strip())
        if match is not None and given(attributes, name):
            unit = match[1].upper().replace("I", "i")
            binary = gb.lower() == "gib" and len(unit) == 2
            units[name] = f"{unit[0]}iB" if binary else unit
    return units
