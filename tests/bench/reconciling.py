"""A centre's whole manifest, when nothing has changed: written by ColdFront, and compared.

All of it was made before the first round, by the service in a sandbox.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from provisioner.config import schema
from provisioner.system.users import user_name
from tests.bench.coldfront import fill, make_site, serve, write_manifest
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.coldfront.environment import environment

ALLOCATIONS = 5000
PEOPLE = 20_000


@contextmanager
def centre(top: Path, allocations: int, people: int) -> Iterator[Path]:
    """Make a ColdFront and a sandbox where all that it has was made; yield the sandbox."""
    site = top / "site"
    make_site(site)
    os.environ.update(environment(f"sqlite:///{top / 'coldfront.db'}"))
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import override_settings

    with redirect_stdout(StringIO()):
        call_command("initial_setup", "-f", verbosity=0)
    fill(allocations, people)
    receipts = site / "spool/receipts" / user_name(os.geteuid())
    with override_settings(
        PROVISIONER_STAGING=str(site / "spool/staging"),
        PROVISIONER_RECEIPTS=str(receipts),
        PROVISIONER_INSTANCE="bench",
    ):
        serve(site, write_manifest())
        call_command("provisioner_sync", stdout=StringIO())
        yield site


def read_all(site: Path) -> float:
    """Return the seconds to parse the manifest that waits, and to read the rows of the ledger."""
    [manifest] = (site / "spool/staging").glob("*.jsonl")
    began = time.perf_counter()
    with manifest.open("rb") as lines:
        for line in lines:
            json.loads(line)
    with sqlite3.connect(schema.load(site / "provisioner.yaml").journal) as journal:
        for table in ("claims", "objects"):
            journal.execute(f"SELECT * FROM {table}").fetchall()
    return time.perf_counter() - began


def compared(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of the service for a manifest without news, and of the floor."""
    sizes = setting.size(ALLOCATIONS), setting.size(PEOPLE)
    with fresh(setting.top) as top, centre(top, *sizes) as site:
        while True:
            said = write_manifest()
            floor = read_all(site)
            began = time.perf_counter()
            serve(site, said)
            yield Run(time.perf_counter() - began, floor)


def written(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of ColdFront for a manifest without news, and of the floor."""
    sizes = setting.size(ALLOCATIONS), setting.size(PEOPLE)
    with fresh(setting.top) as top, centre(top, *sizes) as site:
        from coldfront.core.allocation.models import AllocationUser
        from django.contrib.auth.models import User

        while True:
            began = time.perf_counter()
            for model in (AllocationUser, User):
                list(model.objects.values())
            floor = time.perf_counter() - began
            began = time.perf_counter()
            said = write_manifest()
            yield Run(time.perf_counter() - began, floor)
            serve(site, said)


FIGURES = (
    Figure(
        "reconcile",
        "the service's process compares a manifest of 5,000 allocations and 20,000 users, and "
        "nothing has changed",
        "parsing its lines and reading the ledger's rows",
        "s",
        compared,
        (Aim("value", 15.0, most=True),),
        "coldfront",
    ),
    Figure(
        "manifest-written",
        "ColdFront writes this manifest",
        "reading the users, and those of allocations, from its database",
        "s",
        written,
        (Aim("value", 30.0, most=True),),
        "coldfront",
    ),
)
