"""A journal that several intakes served is restored from a copy: the spool of each is compared."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from provisioner.cli import recovery
from provisioner.config import schema as configuration
from provisioner.contract import ConfigError, Refused
from provisioner.house.inheritance import take_over
from provisioner.journal import stored
from provisioner.journal.hosts import spools
from provisioner.recovery.backup import copy_to
from provisioner.recovery.rebuilding import rebuild
from provisioner.recovery.rebuilding.rebuilt import Rebuilt
from provisioner.spool.spool import Spool
from tests.support import databases
from tests.support.engine_site import user
from tests.support.intakes import LEASE, SHARED, Intake, Intakes

pytestmark = [pytest.mark.lab, pytest.mark.root]

HERE = os.uname().nodename
"""The host on which the journal is rebuilt first."""

RELEASE = "provisioner: 1\naction: journal.release\n"


@dataclass
class Centre:
    """Intakes, and a copy of their journal."""

    intakes: Intakes
    file: Path
    more: str = ""

    def start(self, host: str) -> Intake:
        """Start an intake on a host."""
        return self.intakes.make(host, more=self.more, spool=self.place if self.more else "")

    @property
    def place(self) -> str:
        """The spool that intakes share."""
        return str(self.intakes.top / "spool")

    def copy(self, intake: Intake) -> None:
        """Make the copy."""
        copy_to(intake.system.config.journal, self.file)

    def restore(self, *, noted: bool = True) -> None:
        """End all, and have the journal as it was. noted: the server shows that it is a copy."""
        for intake in self.intakes.made:
            if not intake.ended:
                intake.end()
        address = self.intakes.address
        with psycopg.connect(address) as conn:
            conn.execute(f"DROP SCHEMA {address.rpartition('%3D')[2]} CASCADE".encode())
        subprocess.run(["pg_restore", "-1", f"--dbname={address}", self.file], check=True)
        if not noted:
            stored.of(address).settle_again()

    def rebuild(self, host: str = HERE) -> Rebuilt:
        """Rebuild the journal on a host."""
        config = configuration.load(self.intakes.top / host / "provisioner.yaml")
        with closing(Spool.open(config.spool)) as spool:
            return rebuild.rebuild(config, spool, copy=None, empty=False)

    def compare(self, host: str) -> tuple[Path, ...] | None:
        """Compare the spool of another host."""
        config = configuration.load(self.intakes.top / host / "provisioner.yaml")
        with closing(Spool.open(config.spool)) as spool:
            return rebuild.compared(config, spool)


def take(intake: Intake, name: str) -> None:
    """Have an intake take a request."""
    intake.drop(user(name, uid=2001), f"{name}.yaml")
    intake.take()


def serve(intake: Intake, name: str) -> str:
    """Have an intake take a request, and end it; return its id."""
    take(intake, name)
    for _ in range(2):
        intake.drain("first", "second")
    intake.hear()
    assert f"{name}.yaml" in intake.files("done")
    return str(intake.requests()[-1].id)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """Give a centre that has no intakes yet."""
    intakes = Intakes(tmp_path, databases.cluster().make())
    with intakes.running:
        yield Centre(intakes, tmp_path / "copy")


@pytest.fixture
def lost(centre: Centre) -> tuple[Centre, str]:
    """Give a centre whose second intake has done something since the copy; return its id, too."""
    north, south = centre.start(HERE), centre.start("south")
    centre.copy(north)
    return centre, serve(south, "ben")


def nothing(centre: Centre) -> None:
    pass


def taken(centre: Centre) -> None:
    take(centre.start(HERE), "dan")


@pytest.mark.parametrize("meanwhile", [nothing, taken])
def test_an_intake_serves_nothing_before_what_only_its_spool_has_is_named(
    lost: tuple[Centre, str], meanwhile: Callable[[Centre], None]
) -> None:
    centre, late = lost
    centre.restore()
    made = centre.rebuild()
    assert (made.unknown, list(made.others)) == ((), ["south"])
    meanwhile(centre)
    with pytest.raises(ConfigError, match=f"does not know 1 requests.*done/{late}"):
        centre.start("south")
    named = centre.compare("south")
    assert named is not None and [path.name for path in named] == [late]
    assert centre.start("south").files("done") == ["ben.yaml"]
    assert centre.compare("south") is None


def test_what_is_named_is_named_each(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    late = [tmp_path / "done" / f"{number:026}" for number in range(300)]
    recovery._name(late)
    assert capsys.readouterr().out.splitlines()[1:] == [f"    {path}-*" for path in late]


def test_an_intake_that_the_copy_does_not_know_is_compared_too(lost: tuple[Centre, str]) -> None:
    centre, _ = lost
    late = serve(centre.start("west"), "eve")
    centre.restore()
    centre.rebuild()
    with pytest.raises(ConfigError, match=late):
        centre.start("west")


def test_a_journal_is_released_when_all_its_intakes_have_begun(lost: tuple[Centre, str]) -> None:
    centre, _ = lost
    centre.restore()
    centre.rebuild()
    north = centre.start(HERE)
    with north.system.journal.reading() as conn, pytest.raises(Refused, match="south"):
        spools.refuse_awaited(conn)
    north.drop(RELEASE, "release.yaml")
    north.take()
    assert "the intake on south has not begun" in str(north.results("failed")[-1])
    centre.compare("south")
    centre.start("south")
    north.drop(RELEASE, "again.yaml")
    north.take()
    assert "again.yaml" in north.files("done")


def test_one_that_was_taken_over_is_not_waited_for(lost: tuple[Centre, str]) -> None:
    centre, _ = lost
    centre.restore()
    centre.rebuild()
    north = centre.start(HERE)
    with psycopg.connect(centre.intakes.address) as conn:
        conn.execute("UPDATE hosts SET heard = heard - 1000 WHERE name = 'south'")
    take_over(north.system.journal, "south", HERE, LEASE, "root")
    with north.system.journal.reading() as conn:
        assert spools.awaited(conn) == {}
        spools.refuse_awaited(conn)
    with pytest.raises(ConfigError, match="does not know"):
        centre.start("south")  # it came back after all


def test_a_server_that_was_set_back_is_rebuilt_on_whichever_host_is_first(
    lost: tuple[Centre, str],
) -> None:
    centre, late = lost
    centre.restore(noted=False)
    assert (centre.rebuild().unknown, centre.compare(HERE)) == ((), None)
    with pytest.raises(ConfigError, match="intact"):
        centre.rebuild()
    take(centre.start(HERE), "cyn")
    with pytest.raises(ConfigError, match=late):
        centre.start("south")


def test_a_journal_from_before_a_rebuild_is_not_served_with_a_spool_from_after_it(
    lost: tuple[Centre, str],
) -> None:
    centre, late = lost
    centre.restore()
    centre.rebuild()
    centre.compare("south")
    centre.start("south")
    centre.restore(noted=False)
    take(centre.start("west"), "eve")
    with pytest.raises(ConfigError, match=late):
        centre.start("south")
    assert centre.compare("south") is None  # it is to be rebuilt


def test_a_spool_that_intakes_share_is_compared_once(centre: Centre) -> None:
    centre.more = SHARED
    north, south = centre.start(HERE), centre.start("south")
    with north.house():
        centre.copy(north)
        serve(north, "ben")
    centre.restore()
    made = centre.rebuild()
    assert (len(made.unknown), made.others) == (1, {})
    assert south.ended
    for host in (HERE, "south"):
        centre.start(host)
