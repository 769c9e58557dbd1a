"""Each way out to a backend asks before every single write whether it may still be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from handlers.emulators.gpfs.gui import LOGIN
from handlers.gpfs.rest.gui import Gui
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.text import Entry
from handlers.slurm.rest.slurmrestd import Slurmrestd
from handlers.slurm.rest.wire import Wire
from handlers.slurm.spare import Spare
from provisioner.agent.client import runner
from provisioner.contract import Host, Json, Owner, leave_given_by
from provisioner.system.directories import RealHost
from tests.support import agents, gpfs_gui, slurm_sites
from tests.support.acls import AS_ROOT
from tests.support.ad_backends import emulated

ALL, ALLOWED = 40, 3

Way = tuple[Callable[[int], object], Callable[[], int]]
"""Writes one thing by its number, and counts what was written."""


class Over(Exception):
    """Another host has the lane."""


def files(top: Path) -> Callable[[], int]:
    """Return what counts the entries of a directory."""
    return lambda: len(list(top.iterdir()))


@contextmanager
def a_program(top: Path) -> Iterator[Way]:
    run = runner({})
    yield lambda number: run(["touch", str(top / str(number))]), files(top)


@contextmanager
def a_program_that_waits_for_its_command(top: Path) -> Iterator[Way]:
    spare = Spare(("sh",), {}, 60.0)

    def write(number: int) -> None:
        spare.prepare()
        spare.run(["touch", str(top / str(number))], 10.0)

    yield write, files(top)
    spare.close()


def homes(host: Host, top: Path) -> Way:
    """Return a way that makes homes."""

    def write(number: int) -> None:
        host.make(top, f"u{number}", owner=Owner(0, 0), mode=0o700, skeleton=None)

    return write, files(top)


@contextmanager
def a_new_directory(top: Path) -> Iterator[Way]:
    yield homes(RealHost(), top)


@contextmanager
def a_mode(top: Path) -> Iterator[Way]:
    for number in range(ALL):
        (top / str(number)).mkdir(mode=0o700)

    def closed() -> int:
        return sum(path.stat().st_mode & 0o777 == 0o750 for path in top.iterdir())

    yield lambda number: RealHost().set_mode(top, str(number), mode=0o750), closed


@contextmanager
def an_agents_verb(top: Path) -> Iterator[Way]:
    rules = agents.write_rules(top.parent / "agent" / "a.toml", roots=[top], root=agents.ANY)
    host = agents.host(rules)
    yield homes(host, top)
    host.agent.close()


@contextmanager
def an_agents_tool(top: Path) -> Iterator[Way]:
    rules = agents.write_rules(top.parent / "agent" / "a.toml", more=agents.TOOLS)
    agent = agents.agent(rules)
    run = runner({"agent": agent})

    def write(number: int) -> None:
        run(["agent", "python", "-c", f"open('{top / str(number)}', 'w')"], timeout=5.0)

    yield write, files(top)
    agent.close()


@contextmanager
def a_directory_over_ldap(top: Path) -> Iterator[Way]:
    backend = emulated(top / "ad.json", "ad")
    yield lambda number: backend.user(f"u{number}"), lambda: len(users(backend.directory()))


@contextmanager
def slurmrestd(top: Path) -> Iterator[Way]:
    address = str(slurm_sites.by_rest(top).settings["slurmrestd"])
    made = Slurmrestd(Wire(address), "a")

    def count() -> int:
        return len([name for name in made.accounts(()) if name.startswith("p")])

    yield lambda number: made.add_accounts([f"p{number}"], []), count
    slurm_sites.close()


class Noting:
    """A GUI that notes what is written, and refuses it."""

    def __init__(self) -> None:
        self.writes: list[str] = []

    def answer(self, command: str, path: str, body: object) -> tuple[int, Mapping[str, Json]]:
        self.writes.append(f"{command} {path}")
        return 400, {}


@contextmanager
def the_gui_of_storage_scale(top: Path) -> Iterator[Way]:
    server, authority = gpfs_gui.server()
    before, noting = server.gui, Noting()
    server.gui = noting  # type: ignore[assignment]
    gui = Gui([server.url], lambda: (LOGIN[0], LOGIN[1]), authority)
    yield lambda number: gui.write("PUT", f"filesets/{number}", {}), lambda: len(noting.writes)
    server.gui = before


def users(directory: Directory) -> list[Entry]:
    return directory.search(directory.settings.base, "(objectClass=user)", ["cn"])


WAYS = [
    a_program,
    a_program_that_waits_for_its_command,
    a_new_directory,
    a_mode,
    an_agents_verb,
    an_agents_tool,
    a_directory_over_ldap,
    slurmrestd,
    the_gui_of_storage_scale,
]


@pytest.mark.parametrize("way", [pytest.param(way, marks=AS_ROOT, id=way.__name__) for way in WAYS])
def test_nothing_is_sent_once_the_lane_is_anothers(
    tmp_path: Path, way: Callable[[Path], AbstractContextManager[Way]]
) -> None:
    top = tmp_path / "top"
    top.mkdir(mode=0o755)
    left = iter(range(ALLOWED))

    def sure() -> None:
        if next(left, None) is None:
            raise Over

    with way(top) as (write, count):
        before = count()
        with pytest.raises(Over), leave_given_by(sure):
            for number in range(ALL):
                write(number)
        assert count() - before == ALLOWED


def test_no_thread_of_a_large_batch_over_ldap_sends_more_than_is_allowed(tmp_path: Path) -> None:
    backend = emulated(tmp_path / "ad.json", "ad")
    directory, left = backend.directory(), iter(range(ALLOWED))

    def sure() -> None:
        if next(left, None) is None:
            raise Over

    def write(number: int) -> None:
        given = {"objectClass": ["top", "user"], "cn": f"u{number}", "sAMAccountName": f"u{number}"}
        directory.add(f"cn=u{number},OU=people,{backend.base}", given)

    with pytest.raises(Over), leave_given_by(sure):
        directory.each(write, range(ALL))
    assert len(users(directory)) == ALLOWED
