"""The queue of a lane has a name that the server takes, whatever the lane is called."""

from __future__ import annotations

import pytest

from provisioner.hosts.jobs import queue

CHANNEL = 63 - len("procrastinate_queue_v1#")
"""The most bytes that are left of a channel's name."""

LONG = "homes:/srv/storage/of/the/centre/for/people/home"


@pytest.mark.parametrize("lane", ["slurm", "gpfs:fs1", LONG, "homes:/" + "ü" * 20])
def test_the_name_fits(lane: str) -> None:
    assert len(queue(lane).encode()) <= CHANNEL


def test_each_lane_has_its_own() -> None:
    assert len({queue(lane) for lane in ("slurm", LONG, f"{LONG}1", f"{LONG}2")}) == 4
