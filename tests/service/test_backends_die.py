"""Backends killed in the middle of a burst: afterwards everything is done and read back.

In a lab of its own, as daemons are killed with SIGKILL: slurmdbd, the MariaDB below it, Samba. The
service runs on, puts off what the dead one would have answered, and needs no hand to go on. So it
does if somebody types sacctmgr meanwhile: slurmdbd then loses writes, and may end by itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

import pytest

from deploy.lab import accounting, directories, inside, place
from tests.support.burst_site import Site

BURST = 200
WHOLE = "PROVISIONER_WHOLE" in os.environ
"""True in deploy/lab/matrix.py, which tries more than fits into `make test`."""

BESIDE = 200 if WHOLE else 60
"""Requests of a burst beside other writers."""

LONG = 1800.0 if WHOLE else 600.0
"""Seconds that a busy machine of two cores needs for a burst at most."""

TYPING = 4 if WHOLE else 1
"""How many people type sacctmgr beside it."""

ISOLATIONS = ("ON", "OFF") if WHOLE else ("OFF",)
"""MariaDB's `innodb_snapshot_isolation`: ON from 11.6.2, OFF before."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.root,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Give a site whose daemons may be killed."""
    top = Path(mkdtemp(prefix="burst-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        yield Site(top)
    finally:
        Site.run_outside("deploy/lab/down", str(top / "lab"))
        shutil.rmtree(top)


DAEMONS: dict[str, Callable[[place.Lab], None]] = {
    "slurmdbd": accounting.start_slurmdbd,
    "mariadb": accounting.start_mariadb,
    "samba": directories.start_samba,
}


def begin(site: Site, stem: str) -> None:
    """Make the account that the users of a burst come into."""
    site.drop(
        f"{stem}-project.yaml",
        "provisioner: 1\naction: project.provision\nproject: {code: burst}\n",
    )
    inside.until(lambda: site.ended("done", stem) == 1, "the account", LONG)


def drop(site: Site, stem: str, number: int) -> str:
    """Ask for a user; give the name."""
    name = f"{stem}{number}"
    text = f"provisioner: 1\naction: user.provision\nuser: {{name: {name}, surname: Burst}}\n"
    site.drop(f"{stem}-{number}.yaml", text)
    return name


def check(site: Site, stem: str, names: Sequence[str]) -> None:
    """Compare what became of the requests with what slurmdbd and the directory show."""
    told = site.verb("queue") + site.config.with_name("service.log").read_text()[-3000:]
    assert (site.ended("done", stem), site.ended("failed", stem)) == (len(names) + 1, 0), told
    assert associations(site) >= set(names)
    # The name service gives up on a directory that is busy, and says then that nobody is there.
    with contextlib.suppress(TimeoutError):
        inside.until(lambda: resolving(site, names) == set(names), "names", LONG)
    assert resolving(site, names) == set(names)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_backend_that_is_killed_in_a_burst_costs_no_request(site: Site, daemon: str) -> None:
    stem = f"k{daemon}"
    names = []
    with site.serving():
        begin(site, stem)
        for number in range(BURST):
            names.append(drop(site, stem, number))
            if number == BURST // 2:
                site.kill(daemon)
        time.sleep(2)
        DAEMONS[daemon](place.known(site.lab))
        with contextlib.suppress(TimeoutError):
            inside.until(lambda: site.ended("done", stem) == BURST + 1, "the burst", LONG)
    check(site, stem, names)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_somebody_who_types_sacctmgr_beside_a_burst_costs_no_request(
    site: Site, isolation: str, record_property: Callable[[str, object], None]
) -> None:
    stem = f"w{isolation.lower()}"
    site.isolate(isolation)
    deaths = 0
    with site.serving():
        begin(site, stem)
        with site.typing(f"t{stem}", TYPING) as typed:
            names = [drop(site, stem, number) for number in range(BESIDE)]

            def over() -> bool:
                nonlocal deaths
                deaths += site.revive()
                return site.ended("done", stem) == BESIDE + 1

            with contextlib.suppress(TimeoutError):
                inside.until(over, "the burst", LONG)
    check(site, stem, names)
    lost = len(set(typed) - associations(site))
    told = (
        f"{len(typed)} typed with exit code 0, {lost} of them lost; slurmdbd ended {deaths} times"
    )
    record_property(f"innodb_snapshot_isolation={isolation}, {TYPING} others type", told)


def associations(site: Site) -> set[str]:
    """Ask slurmdbd who is in the account."""
    shown = site.inside(
        "env", f"SLURM_CONF={site.lab}/etc/slurm.conf",
        "sacctmgr", "-nP", "show", "assoc", "account=burst", "cluster=lab", "format=user",
    )  # fmt: skip
    return set(shown.split())


def resolving(site: Site, names: Sequence[str]) -> set[str]:
    """Ask Active Directory, by the lab's name service, which of some users there are."""
    shown = site.inside("sh", "-c", 'getent passwd "$@" || true', "getent", *names)
    return {line.partition(":")[0] for line in shown.splitlines()}
