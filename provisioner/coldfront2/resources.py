"""Reads ColdFront 2's resources of every kind, and what of ColdFront 2 works against this app."""

from __future__ import annotations

from typing import Any

from coldfront.ras.models import Resource
from coldfront.slurm.models import SlurmCluster, SlurmPartition
from coldfront.storage.models import StorageCluster, StorageResource
from django.conf import settings

from provisioner.coldfront.asking.portal import OfResource
from provisioner.coldfront.asking.wanted import NONE
from provisioner.coldfront2 import mapping


class Resources:
    """The resources that allocations are on, each read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], mapping.Resource] = {}
        self._offered: dict[tuple[str, int], tuple[str, ...]] = {}

    def read(self, row: Any) -> mapping.Resource | None:
        """Return a resource with its parents; None if it no longer exists."""
        if row is None:
            return None
        if (key := _key(row)) not in self._read:
            self._read[key] = self._as_plain(row)
        return self._read[key]

    def _as_plain(self, row: Any) -> mapping.Resource:
        given = str((getattr(row, "custom_field_data", None) or {}).get(mapping.FIELD) or "")
        if isinstance(row, SlurmCluster):
            return mapping.Resource("cluster", row.name, given, row.name)
        if isinstance(row, SlurmPartition):
            above = self.read(row.cluster)
            return mapping.Resource("partition", row.name, given, row.cluster.name, above)
        if isinstance(row, StorageResource):
            return mapping.Resource("storage", row.name, given)
        parent = self.read(row.parent) if isinstance(row, Resource) else None
        return mapping.Resource("other", row.name, given, parent=parent)

    def offered(self, row: Any) -> tuple[str, ...]:
        """Return the QOS of a cluster, or those that a partition allows."""
        if (key := _key(row)) not in self._offered:
            listed = row.allow_qos if isinstance(row, SlurmPartition) else row.qos_list
            names = listed.order_by("name").values_list("name", flat=True)
            self._offered[key] = tuple(names)
        return self._offered[key]


def every() -> list[OfResource]:
    """Read all resources that can have allocations."""
    found = Resources()
    rows = [
        *SlurmCluster.objects.order_by("name"),
        *SlurmPartition.objects.select_related("cluster").order_by("cluster__name", "name"),
        *StorageResource.objects.order_by("name"),
        *Resource.objects.order_by("name"),
    ]
    return [OfResource(str(row), mapping.resource_name(found.read(row))) for row in rows]


def where_named() -> str:
    """Return where in ColdFront somebody corrects a resource's name in requests."""
    return f"Correct the resource's custom field {mapping.FIELD}, or set it to {NONE}"


def remarks() -> list[str]:
    """Return what is set in ColdFront and works against this app: its own synchronizations."""
    told = []
    for cluster in StorageCluster.objects.exclude(backend_path=None).exclude(backend_path=""):
        begins = "by itself" if cluster.auto_sync_enabled else "when somebody runs storage_sync"
        told.append(
            f"the storage cluster {cluster.name!r} has the backend {cluster.backend_path}: its sync"
            f" runs {begins}, makes paths and quotas beside this app, and deletes each quota that"
            " ColdFront does not know. Remove the backend"
        )
    clusters = getattr(settings, "SLURMRESTD_CLUSTERS", {})
    on = sorted(name for name, one in clusters.items() if dict(one).get("auto_sync_enabled"))
    if on:
        told.append(
            f"ColdFront's own Slurm sync is on for {', '.join(on)}: it writes to slurmdbd beside"
            " this app. Set auto_sync_enabled to False in SLURMRESTD_CLUSTERS"
        )
    return told


def _key(row: Any) -> tuple[str, int]:
    return row._meta.label, row.pk
