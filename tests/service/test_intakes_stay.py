"""What ends no intake, and refuses none: what others put into staging, news that are none, and a
directory of copies that is wrong when it has to stand in for another intake."""

from __future__ import annotations

import pytest

from provisioner.contract import ConfigError
from tests.support.engine_site import user
from tests.support.intakes import LEASE, Intakes

pytestmark = [pytest.mark.lab, pytest.mark.root]


def test_what_others_put_into_staging_under_the_name_of_a_host_stops_no_start(
    intakes: Intakes,
) -> None:
    north = intakes.make("north")
    for name in (".intake-south", ".intake-north"):
        (north.spool.staging / name).mkdir()
        (north.spool.staging / name / "full").touch()
    marks = sorted(north.spool.staging.glob(".intake-0*"))
    north.end()
    north = intakes.make("north")
    [mark] = north.spool.staging.glob(".intake-0*")
    assert [mark] != marks, "the former one is removed"
    intakes.make("south", spool=str(intakes.top / "other"))


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_who_could_not_keep_house_is_refused_at_its_start_and_not_when_it_has_to(
    intakes: Intakes, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    intakes.make("north")
    copies = intakes.top / "copies"
    copies.mkdir()
    copies.chmod(mode)
    more = f"roles: {{lease: {LEASE}}}\nbackup: {{directory: {copies}}}\n"
    with pytest.raises(ConfigError, match="copies is open to others"):
        intakes.make("south", more=more)
    copies.chmod(0o700)
    west = intakes.make("west", more=more)
    copies.chmod(mode)
    with west.house() as keeping:
        west.drop(user("ann", uid=7))
        west.take()
        assert keeping._house is not None
        with pytest.raises(ConfigError, match="copies is open to others"):
            keeping._house.copier.copy()
    assert "copies is open to others" in caplog.text
    assert len(west.requests()) == 1
    assert list(copies.iterdir()) == [], "no copy for others' eyes"


@pytest.mark.parametrize(
    "news", ["", "hello", "hello\nx", "changed x\nx", "returned x\n../x", "renewed x\n", "due x\nx"]
)
def test_news_that_is_none_ends_no_intake(intakes: Intakes, news: str) -> None:
    north, south = intakes.make("north"), intakes.make("south")
    south.member._wire.tell(news)  # as any role of the server may
    north.hear()
    north.drop(user("ann", uid=7))
    north.take()
    assert len(north.requests()) == 1
