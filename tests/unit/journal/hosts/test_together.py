"""How the processes of several hosts stand: what nobody serves, who is missing, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from provisioner.journal.hosts import holds, presence, together
from provisioner.journal.hosts.presence import HOUSE, INTAKE, Host, lanes_role
from provisioner.journal.journal import Journal
from tests.unit.journal.conftest import Places

LEASE, NOW = 10.0, 1_000_000.0
LANES = ("ad", "fs1", "slurm")
PORTAL = Host("portal", INTAKE, "1.0", 900.0, NOW)
NEAR = Host("near", lanes_role(LANES), "1.0", 900.0, NOW)
FAR = Host("far", lanes_role(["slurm"]), "1.0", 900.0, NOW)


def dead(host: Host) -> Host:
    return replace(host, heard=NOW - 2 * LEASE - 1)


ALL = [(NEAR, LANES), (PORTAL, [HOUSE])]
"""Who has which lanes, and the house."""

TABLE: dict[str, tuple[Sequence[Host], Sequence[tuple[Host, Sequence[str]]], list[str]]] = {
    "one process serves alone": ([], [], []),
    "all is served": ([PORTAL, NEAR, FAR], ALL, []),
    "no intake is there": (
        [NEAR], ALL, ["grave: no host takes requests: there is no intake"],
    ),
    "the intake died": (
        [dead(PORTAL), NEAR],
        ALL,
        [
            "grave: no host takes requests: the intake on portal is not heard",
            "host portal (intake) is missing: not heard for 21 s",
        ],
    ),
    "nobody took a lane up": (
        [PORTAL, NEAR],
        [(NEAR, ["ad", "slurm"]), (PORTAL, [HOUSE])],
        ["grave: no host drains: fs1"],
    ),
    "nobody took the house up": (
        [PORTAL, NEAR],
        [(NEAR, LANES)],
        ["grave: no host keeps house: dates, manifests, copies of the journal and mail wait"],
    ),
    "who kept house died, and another intake takes requests": (
        [dead(PORTAL), replace(PORTAL, name="other"), NEAR],
        ALL,
        [
            "grave: no host keeps house: dates, manifests, copies of the journal and mail wait",
            "host portal (intake) is missing: not heard for 21 s",
        ],
    ),
    "the host of lanes died": (
        [PORTAL, dead(NEAR), FAR],
        [(NEAR, LANES), (FAR, ["slurm"]), (PORTAL, [HOUSE])],
        [
            "grave: no host drains: ad, fs1",
            "host near (lanes ad, fs1, slurm) is missing: not heard for 21 s",
        ],
    ),
    "another one stands in": (
        [PORTAL, NEAR, replace(FAR, heard=NOW - 7200)],
        ALL,
        ["host far (lanes slurm) is missing: not heard for 2 h"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("hosts", "taken", "wrong"), TABLE.values(), ids=TABLE)
def test_what_nobody_serves_is_grave_and_who_is_missing_is_named(
    place: Places,
    hosts: Sequence[Host],
    taken: Sequence[tuple[Host, Sequence[str]]],
    wrong: list[str],
) -> None:
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        for host in hosts:
            presence.join(conn, host, LEASE)
        for host, lanes in taken:
            for lane in lanes:
                holds.take_up(conn, lane, host.name, NOW)
    with book.reading() as conn:
        found = together.look(conn, NOW, LEASE)
    book.close()
    said = list(found.troubles(LANES))
    assert [f"{'grave: ' * each.grave}{each.text}" for each in said] == wrong
    assert all(each.advice for each in said)


def test_it_says_who_drains_what_since_when(place: Places) -> None:
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        for host in (PORTAL, NEAR, FAR):
            presence.join(conn, host, LEASE)
        holds.take_up(conn, "slurm", "near", NOW - 60)
        holds.take_up(conn, "slurm", "far", NOW - 30)
    with book.reading() as conn:
        found = together.look(conn, NOW, LEASE)
    book.close()
    assert {lane: (one.host, one.since) for lane, one in found.drained.items()} == {
        "slurm": ("far", NOW - 30)
    }
    assert found.intakes == 1
