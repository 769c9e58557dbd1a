"""What the app adds to decisions about many users, beside ColdFront without the app.

Runs where ColdFront is installed. ColdFront is on SQLite, and its pages are asked by Django's test
client. Each decision is made without the app and with it in turns. Every round is the first time
that its users are asked for: each is a row, and `PROVISIONER_AT_ONCE` of them become files.
tests/coldfront/test_costs.py holds the queries.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.coldfront.environment import environment

USERS = 400


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. prepare: makes ColdFront ready for it, unheard; decide: takes it."""

    prepare: Callable[[], None]
    decide: Callable[[], object]


def took(work: Callable[[], object]) -> float:
    """Do some work and return the seconds that it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def decisions(site: Any, users: int) -> Mapping[str, Decision]:
    """Return the decisions by name: on ColdFront's pages, and by a script, outside of any page."""
    from coldfront.core.allocation.models import AllocationUser, AllocationUserStatusChoice
    from django.contrib.auth.models import User

    from tests.bench.coldfront import fill
    from tests.coldfront import many

    fill(1, 4)
    allocation = site.allocation("hpc-storage")
    rows = AllocationUser.objects.filter(allocation=allocation)
    # They are not in the project.
    rows.delete()
    many.fill(allocation, users)
    names = list(User.objects.filter(allocationuser__in=rows))

    def everyone(status: str) -> None:
        rows.update(status=AllocationUserStatusChoice.objects.get(name=status))

    def ready(status: str, of_users: str = "Active") -> Callable[[], None]:
        def prepare() -> None:
            site.quietly(allocation, status)
            everyone(of_users)

        return prepare

    def tick(verb: str) -> None:
        site.pick(f"/allocation/{allocation.pk}/{verb}-users", "userform")

    def script() -> None:
        for user in names:
            allocation.add_user(user)

    pages = {verb: partial(tick, verb) for verb in ("add", "remove")}
    return {
        "approve": Decision(ready("New"), lambda: site.decide(allocation, "approve")),
        "revoke": Decision(ready("Active"), lambda: site.decide(allocation, status="Revoked")),
        "add": Decision(ready("Active", "Removed"), pages["add"]),
        "remove": Decision(ready("Active"), pages["remove"]),
        "script": Decision(ready("Active", "Removed"), script),
    }


@contextmanager
def coldfront(top: Path) -> Iterator[Any]:
    """Set up a ColdFront with the app, whose data are in a directory."""
    os.environ.update(environment(f"sqlite:///{top / 'coldfront.db'}"))
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    from tests.coldfront.site import Site

    setup_test_environment()
    with redirect_stdout(StringIO()):
        call_command("initial_setup", "-f", verbosity=0)
    User.objects.create_superuser("admin")
    with Site.at(top) as site:
        yield site


def rounds(name: str, setting: Setting) -> Iterator[Run]:
    """Yield the seconds of a decision with the app and without it."""
    with fresh(setting.top) as top, coldfront(top) as site:
        from provisioner.coldfront.models import Request
        from tests.coldfront.many import without_the_app

        decision = decisions(site, setting.size(USERS))[name]
        for n in count():
            seconds = {}
            for app in (False, True):
                decision.prepare()
                Request.objects.all().delete()
                site.clear()
                with contextlib.nullcontext() if app else without_the_app():
                    seconds[app] = took(decision.decide)
            if n:
                # The first round fills caches, for whoever comes second.
                yield Run(seconds[True], seconds[False])


def figure(name: str, work: str, *aims: Aim) -> Figure:
    """Return the figure of a decision."""
    beside = "ColdFront without the app"
    return Figure(f"coldfront-{name}", work, beside, "s", partial(rounds, name), aims, "coldfront")


FIGURES = (
    figure(
        "approve",
        "approve an allocation of 400 users on its page",
        Aim("ratio", 1.8, most=True),
    ),
    figure("revoke", "revoke it"),
    figure("add", "add 400 users on the allocation's page"),
    figure("remove", "remove 400 users on the allocation's page"),
    figure("script", "a script adds 400 users, one by one"),
)
