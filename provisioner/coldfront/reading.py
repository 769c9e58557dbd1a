"""ColdFront 1.1 as the outbox's portal: what its tables mean for requests.

A module is the portal: its functions are those of `Portal`. Leaves out: how the tables are read
(`snapshots`), and what a request says (`mapping`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from provisioner.coldfront import actor, snapshots, statuses
from provisioner.coldfront.asking import mapping, options
from provisioner.coldfront.asking.portal import OfAllocation, OfProject, OfResource
from provisioner.coldfront.asking.wanted import CLUSTER, NONE, RESOURCE

acting = actor.acting
entitled = snapshots.entitled
living_projects = snapshots.living_projects
people = snapshots.people
follow = statuses.follow


def allocations(
    chosen: Collection[int], *, with_user: tuple[int, int] | None = None
) -> Iterator[OfAllocation]:
    """Read allocations by their keys, as `Portal` says."""
    for facts in snapshots.allocations(chosen, with_user=with_user):
        yield OfAllocation(
            facts.pk,
            facts.project.pk,
            facts.status,
            mapping.entitled(facts),
            mapping.provision(facts, options.mapping()),
            facts.users,
        )


def projects(chosen: Collection[int]) -> Iterator[OfProject]:
    """Read projects by their keys, as `Portal` says."""
    for facts in snapshots.projects(chosen):
        yield OfProject(
            facts.pk,
            mapping.project_code(facts, options.mapping()),
            facts.status == "Archived",
            mapping.provision_project(facts, options.mapping()),
            facts.people,
        )


def resources() -> list[OfResource]:
    """Read all resources that can have allocations."""
    return [OfResource(one.name, mapping.resource_name(one)) for one in snapshots.resources()]


def where_named() -> str:
    """Return where in ColdFront somebody corrects a resource's name in requests."""
    return f"Correct {RESOURCE} or {CLUSTER}, or set {RESOURCE} to {NONE}"


def remarks() -> Sequence[str]:
    """Return nothing: ColdFront 1.1 does by itself nothing that this app does."""
    return ()
