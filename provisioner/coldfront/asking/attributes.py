"""ColdFront's attributes: their names, and their values as an admin typed them.

Leaves out: what they mean (`mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

RESOURCE = "provisioner_resource"
NONE = "-"
"""What a resource says that is not to be provisioned, whatever else it says."""
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
    """Give an attribute's values, without empty ones."""
    return tuple(value.strip() for value in attributes.get(name, ()) if value.strip())


def spaces(attributes: Attributes, gb: str) -> dict[str, str]:
    """Name the attributes that say how much space there is, with their units.

    gb: what a site's GB is; its TB are then alike. `Storage Quota (TiB)` says so itself.
    """
    found = {}
    for name in sorted(attributes):
        match = _SPACE.fullmatch(name.strip())
        if match is not None and given(attributes, name):
            unit = match[1].upper().replace("I", "i")
            binary = gb.lower() == "gib" and len(unit) == 2
            found[name] = f"{unit[0]}iB" if binary else unit
    return found
