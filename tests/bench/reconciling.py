"""A centre's whole manifest, when nothing has changed: written by ColdFront, and compared.

All of it was made before the first round, by the service in a sandbox. A service that runs
compares it, as each hour at a centre; its first comparison, which reads every line, is not counted.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

from provisioner.config import schema
from provisioner.system.users import user_name
from tests.bench.coldfront import PROVISIONER, fill, make_site, serve, write_manifest
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


def read_all(journal: Path) -> float:
    """Return the seconds to parse the manifest that comes next, and to read the ledger's rows."""
    from django.core.management import call_command

    manifest = StringIO()
    call_command("provisioner_reconcile", "--print", stdout=manifest)
    began = time.perf_counter()
    for line in manifest.getvalue().splitlines():
        json.loads(line)
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as rows:
        for table in ("claims", "objects"):
            rows.execute(f"SELECT * FROM {table}").fetchall()
    return time.perf_counter() - began


@contextmanager
def running(site: Path) -> Iterator[None]:
    """Let the service run."""
    chosen = {**os.environ, "PROVISIONER_CONFIG": str(site / "provisioner.yaml")}
    with (site / "log").open("wb") as log:
        service = subprocess.Popen([PROVISIONER, "run"], env=chosen, stdout=log, stderr=log)
        try:
            yield
        finally:
            service.terminate()
            service.wait()


def followed(site: Path, journal: Path, *, to_the_end: bool) -> float:
    """Send a manifest, and return the seconds until it has its result.

    to_the_end: until no object is due for another look, too.
    """
    number = write_manifest().partition(":")[0]
    began = time.perf_counter()
    while not list((site / "spool/done").glob(f"*-{number}.json.result.yaml")):
        if failed := list((site / "spool/failed").glob(f"*-{number}.json.result.yaml")):
            raise SystemExit(failed[0].read_text()[:4000])
        time.sleep(0.05)
    result = time.perf_counter() - began
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as rows:
        while rows.execute("SELECT key FROM objects WHERE due IS NOT NULL LIMIT 1").fetchall():
            time.sleep(0.05)
    return time.perf_counter() - began if to_the_end else result


def compared(setting: Setting, *, to_the_end: bool) -> Iterator[Run]:
    """Yield the seconds of the service for a manifest without news, and of the floor."""
    sizes = setting.size(ALLOCATIONS), setting.size(PEOPLE)
    with fresh(setting.top) as top, centre(top, *sizes) as site, running(site):
        journal = Path(schema.load(site / "provisioner.yaml").journal)
        followed(site, journal, to_the_end=True)
        while True:
            floor = read_all(journal)
            yield Run(followed(site, journal, to_the_end=to_the_end), floor)


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
        "a service that runs compares a manifest of 5,000 allocations and 20,000 users, of which "
        "nothing has changed, and looks at all objects again",
        "parsing its lines and reading the ledger's rows",
        "s",
        partial(compared, to_the_end=True),
        (Aim("value", 15.0, most=True),),
        "coldfront",
    ),
    Figure(
        "reconcile-result",
        "the same, until the manifest has its result",
        "parsing its lines and reading the ledger's rows",
        "s",
        partial(compared, to_the_end=False),
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
