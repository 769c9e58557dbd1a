"""Reads what ColdFront 2 keeps beside an allocation: Slurm associations and storage quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coldfront.slurm.models import SlurmAssociation, SlurmCluster, SlurmPartition
from coldfront.storage.models import StorageQuota

from provisioner.coldfront2 import limits, mapping
from provisioner.coldfront2.resources import Resources


def associations(allocations: Sequence[Any], found: Resources) -> dict[int, limits.Association]:
    """Read the Slurm associations of allocations, by allocation."""
    on = {row.pk: row.resource_object for row in allocations}
    rows = (
        SlurmAssociation.objects.filter(allocation__in=on)
        .select_related("slurm_account", "parent", "default_qos")
        .prefetch_related(
            "qos_add", "qos_remove", "slurm_account__qos_add", "slurm_account__qos_remove"
        )
    )
    return {row.allocation_id: _association(row, on[row.allocation_id], found) for row in rows}


def quotas(allocations: Sequence[int]) -> dict[int, mapping.Quota]:
    """Read the storage quotas of allocations, by allocation."""
    rows = StorageQuota.objects.filter(allocation__in=allocations)
    return {
        row.allocation_id: mapping.Quota(
            path=row.path,
            mode=row.path_mode,
            owning_user=row.owning_user.username if row.owning_user else "",
            owning_group=row.owning_group.name if row.owning_group else "",
            hard_bytes=row.hard_limit_bytes,
            hard_files=row.hard_limit_files,
            soft_bytes=row.soft_limit_bytes,
            soft_files=row.soft_limit_files,
            grace=row.grace_period,
        )
        for row in rows.select_related("owning_user", "owning_group")
    }


def _association(row: Any, resource: Any, found: Resources) -> limits.Association:
    account = row.slurm_account
    in_slurm = isinstance(resource, (SlurmCluster, SlurmPartition))
    return limits.Association(
        account=account.name if account else "",
        parent=row.parent.name if row.parent else "",
        account_fairshare=account.fairshare if account else None,
        account_added=_names(account.qos_add) if account else (),
        account_removed=_names(account.qos_remove) if account else (),
        default_qos=row.default_qos.name if row.default_qos else "",
        fairshare=row.fairshare,
        max_jobs=row.max_jobs,
        max_submit_jobs=row.max_submit_jobs,
        max_tres_per_job=row.max_tres_per_job,
        max_tres_mins_per_job=row.max_tres_mins_per_job,
        max_wall=row.max_wall_duration_per_job,
        offered=found.offered(resource) if in_slurm else (),
        added=_names(row.qos_add),
        removed=_names(row.qos_remove),
    )


def _names(rows: Any) -> tuple[str, ...]:
    return tuple(sorted(row.name for row in rows.all()))
