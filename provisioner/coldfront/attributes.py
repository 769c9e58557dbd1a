"""ColdFront's attributes: their names, and their values as an admin typed them.

Leaves out: what they mean (`mapping`).
"""

from __future__ import annotations

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

Attributes = Mapping[str, tuple[str, ...]]


def given(attributes: Attributes, name: str) -> tuple[str, ...]:
    """Give an attribute's values, without empty ones."""
    return tuple(value.strip() for value in attributes.get(name, ()) if value.strip())
