"""A centre's ColdFront and the service's sandbox beside it, filled as a centre's are.

Where ColdFront is installed. ColdFront is on SQLite, the service in a sandbox: its backends are
emulated, the rest is real. Each allocation has four users; three of four allocations are on a
cluster, the others on storage.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

PROVISIONER = Path(sys.executable).with_name("provisioner")
USERS = 4
"""Users in an allocation."""


def fill(allocations: int, people: int) -> None:
    """Fill a new ColdFront: a project for five allocations, its members their users."""
    from coldfront.core.allocation.models import (
        Allocation,
        AllocationStatusChoice,
        AllocationUser,
        AllocationUserStatusChoice,
    )
    from coldfront.core.project.models import Project, ProjectStatusChoice
    from django.contrib.auth.models import User

    places = {
        True: _resource("Storage", "provisioner_resource", "hpc-storage"),
        False: _resource("Cluster", "slurm_cluster", "cluster-a"),
    }
    users = User.objects.bulk_create(
        [
            User(username=f"u{n:05}", first_name="Una", last_name=f"Number {n}",
                 email=f"u{n:05}@example.org")
            for n in range(people)
        ]
    )  # fmt: skip
    status = ProjectStatusChoice.objects.get(name="Active")
    projects = Project.objects.bulk_create(
        Project(title=f"Project {n}", pi=users[n * 5 * USERS % people], status=status)
        for n in range(-(-allocations // 5))
    )
    active = AllocationStatusChoice.objects.get(name="Active")
    made = Allocation.objects.bulk_create(
        Allocation(project=projects[n // 5], status=active, justification="of the bench")
        for n in range(allocations)
    )
    through = Allocation.resources.through
    through.objects.bulk_create(
        through(allocation=one, resource=places[n % 4 == 0]) for n, one in enumerate(made)
    )
    let_in = AllocationUserStatusChoice.objects.get(name="Active")
    AllocationUser.objects.bulk_create(
        AllocationUser(allocation=one, user=users[(n * USERS + m) % people], status=let_in)
        for n, one in enumerate(made)
        for m in range(USERS)
    )
    _attributes(made)


def _resource(kind: str, attribute: str, value: str) -> Any:
    from coldfront.core.resource.models import (
        Resource,
        ResourceAttribute,
        ResourceAttributeType,
        ResourceType,
    )

    made = Resource.objects.create(
        name=value, resource_type=ResourceType.objects.get(name=kind), is_available=True
    )
    of = ResourceAttributeType.objects.get(name=attribute)
    ResourceAttribute.objects.create(resource=made, resource_attribute_type=of, value=value)
    return made


def _attributes(made: Sequence[Any]) -> None:
    """Give every fourth allocation, which is storage, a quota, and the others an account."""
    from coldfront.core.allocation.models import AllocationAttribute, AllocationAttributeType

    account = AllocationAttributeType.objects.get(name="slurm_account_name")
    quota = AllocationAttributeType.objects.get(name="Storage Quota (GB)")
    AllocationAttribute.objects.bulk_create(
        AllocationAttribute(
            allocation=one,
            allocation_attribute_type=quota if n % 4 == 0 else account,
            value="500" if n % 4 == 0 else f"acc{n}",
        )
        for n, one in enumerate(made)
    )


def write_manifest() -> str:
    """Reconcile as the timer does; return what it said."""
    from django.core.management import call_command

    said = StringIO()
    call_command("provisioner_reconcile", stdout=said, stderr=said)
    return said.getvalue().strip()


def run(site: Path, *words: object) -> None:
    """Run a verb of the service."""
    chosen = {**os.environ, "PROVISIONER_CONFIG": str(site / "provisioner.yaml")}
    subprocess.run([PROVISIONER, *map(str, words)], check=True, env=chosen, capture_output=True)


def serve(site: Path, said: str) -> str:
    """Serve until nothing is left; return what the reconcile came to, which must be done."""
    run(site, "run", "--drain", "--patience", 600)
    [result] = (site / "spool").glob(f"*/*-{said.partition(':')[0]}.json.result.yaml")
    text = result.read_text()
    if result.parent.name != "done":
        raise SystemExit(text[:4000])
    found: list[str] = re.findall(r"\d+ requested.*", text)
    return found[0].strip("\"'")


def make_site(site: Path) -> None:
    """Make a sandbox with room for all the numbers."""
    run(site, "sandbox", site)
    config = site / "provisioner.yaml"
    text = config.read_text()
    for old, new in (("29999", "299999"), ("30000, to: 39999", "300000, to: 399999")):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
