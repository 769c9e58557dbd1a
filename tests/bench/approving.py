"""What the app adds to decisions about many users, as ratios to ColdFront without the app.

Run where ColdFront is installed: python -m tests.bench.approving [--users N] [--rounds N].
ColdFront is on SQLite, and its pages are asked by Django's test client. Each decision is made
without the app and with it in turns, and the medians of the rounds are compared. Every round is the
first time that its users are asked for: each is a row, and `PROVISIONER_AT_ONCE` of them become
files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from tests.coldfront.environment import environment

CLUSTER = "cluster-a"


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: by the clock and of a processor, in seconds, and in queries."""

    seconds: float
    processor: float
    queries: int


def measured(work: Callable[[], object]) -> Cost:
    """Do some work and return what it took."""
    from django.db import connection

    count = 0

    def counting(execute: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    began, busy = time.perf_counter(), time.process_time()
    with connection.execute_wrapper(counting):
        work()
    return Cost(time.perf_counter() - began, time.process_time() - busy, count)


def middle(costs: list[Cost]) -> Cost:
    """Return the medians of several costs."""
    return Cost(
        median(one.seconds for one in costs),
        median(one.processor for one in costs),
        max(one.queries for one in costs),
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A decision. prepare: makes ColdFront ready for it, unheard; decide: takes it."""

    name: str
    prepare: Callable[[], None]
    decide: Callable[[], object]


def compare(case: Case, forget: Callable[[], None], rounds: int) -> None:
    """Print what a decision takes without the app and with it, and the ratio."""
    from tests.coldfront.many import without_the_app

    costs: dict[bool, list[Cost]] = {False: [], True: []}
    for _ in range(rounds):
        for app in (False, True):
            case.prepare()
            forget()
            with contextlib.nullcontext() if app else without_the_app():
                costs[app].append(measured(case.decide))
    off, on = middle(costs[False]), middle(costs[True])
    print(
        f"{case.name + ':':34}{off.seconds:7.2f} s ({off.processor:.2f} s of a processor,"
        f" {off.queries} queries) without, {on.seconds:.2f} s ({on.processor:.2f} s,"
        f" {on.queries}) with: {on.seconds / off.seconds:.2f} times,"
        f" {on.processor / off.processor:.2f} of a processor",
        flush=True,
    )


def cases(site: Any, users: int) -> Iterator[Case]:
    """Yield the decisions: on ColdFront's pages, and by a script, outside of any page."""
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

    yield Case(f"approve {users} users", ready("New"), lambda: site.decide(allocation, "approve"))
    yield Case(f"revoke {users} users", ready("Active"),
               lambda: site.decide(allocation, status="Revoked"))  # fmt: skip
    yield Case(f"add {users} users", ready("Active", "Removed"), lambda: tick("add"))
    yield Case(f"remove {users} users", ready("Active"), lambda: tick("remove"))
    yield Case(f"a script adds {users} users", ready("Active", "Removed"), script)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="provisioner-bench.") as made:
        top = Path(made)
        os.environ.update(environment(f"sqlite:///{top / 'coldfront.db'}"))
        import django

        django.setup()
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test.utils import setup_test_environment

        from provisioner.coldfront.models import Request
        from tests.coldfront.site import Site

        setup_test_environment()
        with redirect_stdout(StringIO()):
            call_command("initial_setup", "-f", verbosity=0)
        User.objects.create_superuser("admin")

        def forget() -> None:
            Request.objects.all().delete()
            site.clear()

        with Site.at(top) as site:
            for case in cases(site, options.users):
                compare(case, forget, options.rounds)


if __name__ == "__main__":
    main()
