"""What the outbox knows of the ColdFront that it stands in, in words of its own.

Promises: everything that reads or writes ColdFront's own tables is behind `Portal`, so that the
outbox, its numbers, its manifest and its answers are the same for every version of ColdFront. The
installed app has its own version's portal. Leaves out: how a version reads its tables (`reading`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from django.apps import apps

from provisioner.coldfront.asking.mapping import Person
from provisioner.coldfront.asking.wanted import Wanted
from provisioner.coldfront.models import LABEL


@dataclass(frozen=True, slots=True)
class OfAllocation:
    """What ColdFront wants for an allocation.

    entitled: whether its users have access; wanted: None if its resource is not provisioned.
    """

    pk: int
    project: int
    status: str
    entitled: bool
    wanted: Wanted | None
    users: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class OfProject:
    """What ColdFront wants for a project. people: its members and its leader."""

    pk: int
    code: str
    archived: bool
    wanted: Wanted
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class OfResource:
    """A resource. name: as ColdFront shows it; ours: in requests, None if it is not provisioned."""

    name: str
    ours: str | None


class Portal(Protocol):
    """A version of ColdFront."""

    def acting(self) -> str:
        """Return the name of the person whose page ColdFront is serving, or ''."""

    def allocations(
        self, chosen: Collection[int], *, with_user: tuple[int, int] | None = None
    ) -> Iterator[OfAllocation]:
        """Read allocations by their keys; skip those that no longer exist.

        with_user: an allocation and one of its users who gets access, although the row does not say
        so yet.
        """

    def entitled(self) -> Sequence[int]:
        """Return the keys of the allocations whose users have access."""

    def projects(self, chosen: Collection[int]) -> Iterator[OfProject]:
        """Read projects by their keys; skip those that no longer exist."""

    def living_projects(self) -> Sequence[int]:
        """Return the keys of the projects that are not archived."""

    def people(self, names: Collection[str]) -> Iterator[Person]:
        """Read users by their names; skip those who no longer exist or may not log in."""

    def resources(self) -> Sequence[OfResource]:
        """Read all resources that can have allocations."""

    def where_named(self) -> str:
        """Return where in ColdFront somebody corrects a resource's name in requests."""

    def remarks(self) -> Sequence[str]:
        """Return what is set in ColdFront and works against this app."""

    def follow(self) -> tuple[int, int]:
        """Let ColdFront's own statuses follow the answers; return how many are now Pending, and
        Active."""


def portal() -> Portal:
    """Return the portal of the installed app, which has it as its attribute `portal`."""
    return cast(Portal, apps.get_app_config(LABEL).portal)
