"""`mode: observe` where roles are on several hosts: each process heeds its own configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal import audit, facts
from tests.support.apart_site import Apart
from tests.support.engine_site import CONFIG, allocation
from tests.support.intakes import LEASE, Intakes

pytestmark = pytest.mark.lab

RELEASE = "provisioner: 1\naction: journal.release\n"


class Modes(Apart):
    """A site whose hosts may have different modes: that of the next start."""

    def says(self, mode: str) -> None:
        """Change the configuration."""
        self.configure(f"{CONFIG}mode: {mode}\n")

    @property
    def why(self) -> str | None:
        """Why the journal is only observed."""
        with self.system.journal.reading() as conn:
            return facts.get(conn, facts.OBSERVING)


@pytest.fixture
def site(tmp_path: Path) -> Modes:
    return Modes(tmp_path)


def test_lanes_that_are_to_observe_write_nothing_whoever_keeps_house(site: Modes) -> None:
    site.drop(allocation(1, "ann"))
    site.says("observe")
    site.replace_lanes()
    site.drain()
    assert (site.first.calls, site.why) == ([], facts.CONFIGURED)
    assert site.states()["done"] == []


def test_what_was_released_elsewhere_is_observed_by_a_host_that_is_to(site: Modes) -> None:
    site.says("observe")
    site.replace_lanes()
    with site.system.journal.transaction() as conn:
        facts.put(conn, facts.OBSERVING, "nobody has released it")
    site.request(RELEASE, "release.yaml")
    assert site.why is None
    site.request(allocation(1, "ann"))
    assert site.first.calls == []
    site.near.drainer._follow()
    site.drain()
    with site.system.journal.reading() as conn:
        assert facts.get(conn, facts.OBSERVING) == facts.CONFIGURED
    assert site.first.calls == []


def test_lanes_write_once_no_host_is_to_observe_and_it_was_released(site: Modes) -> None:
    site.drop(allocation(1, "ann"))
    site.says("observe")
    site.replace_lanes()
    site.says("converge")
    site.die()
    site.start()
    site.replace_lanes()
    site.drain()
    assert site.first.calls == []
    site.request(RELEASE, "release.yaml")
    site.near.drainer._follow()
    site.drain()
    assert "first/member/cf/ann" in site.first.rows
    with site.system.journal.reading() as conn:
        assert [entry.kind for entry in audit.trail(conn)].count("observing") == 1


def test_an_intake_that_is_to_observe_says_so_before_anybody_keeps_house(intakes: Intakes) -> None:
    one = intakes.make("one", more=f"roles: {{lease: {LEASE}}}\nmode: observe\n")
    with one.system.journal.reading() as conn:
        assert facts.get(conn, facts.OBSERVING) == facts.CONFIGURED
    assert one.service.finisher.teller.observing


def test_an_intake_that_is_not_to_observe_leaves_it_as_others_said(intakes: Intakes) -> None:
    for host, mode in (("one", "observe"), ("two", "converge")):
        made = intakes.make(host, more=f"roles: {{lease: {LEASE}}}\nmode: {mode}\n")
    with made.system.journal.reading() as conn:
        assert facts.get(conn, facts.OBSERVING) == facts.CONFIGURED
    assert made.service.finisher.teller.observing
