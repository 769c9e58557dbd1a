"""What a check says, from what it saw."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from provisioner.journal.figures.figures import Figures, LaneFigures, Open
from provisioner.monitoring.health import Limits, Seen, Status, report

NOW = 1_000_000.0
HOUR = 3600.0
QUIET = Figures({}, {}, 0, {"slurm": LaneFigures()}, {}, {}, 1, {})
WELL = Seen(QUIET, served=True, backup=600.0)


def seen(**figures: Any) -> Seen:
    return replace(WELL, figures=replace(QUIET, **figures))


def lane(**values: Any) -> Seen:
    return seen(lanes={"slurm": replace(LaneFigures(), **values)})


TABLE = {
    "all is well": (WELL, Status.OK, "0 open, 0 need a person"),
    "no service": (replace(WELL, served=False), Status.CRITICAL, "no service serves the spool"),
    "a full disk": (replace(WELL, full="/var is full"), Status.CRITICAL, "/var is full"),
    "observing": (replace(WELL, observing="rebuilt"), Status.WARNING, "only observing: rebuilt"),
    "a look for idle people in doubt": (
        replace(WELL, idle="nobody is closed: ad"), Status.WARNING, "idle: nobody is closed: ad",
    ),
    "a backend away": (
        lane(away="no answer"), Status.WARNING, "backend away: no answer",
    ),
    "a paused lane": (lane(paused=True), Status.WARNING, "lane slurm is paused"),
    "much that is due": (lane(due=1000), Status.WARNING, "objects due 1000"),
    "far too much that is due": (lane(due=10_000), Status.CRITICAL, "objects due 10000"),
    "a failure": (seen(need_person=9), Status.OK, "9 need a person"),
    "failures": (seen(need_person=10), Status.WARNING, "need a person: 10"),
    "an old request": (
        seen(open={"deferred": Open(1, NOW - 30 * HOUR)}), Status.WARNING, "request: hours 30",
    ),
    "an ancient request": (
        seen(open={"held": Open(1, NOW - 72 * HOUR)}), Status.CRITICAL, "held request: hours 72",
    ),
    "one that is scheduled": (
        seen(open={"scheduled": Open(1, NOW - 99 * HOUR)}), Status.OK, "1 open",
    ),
    "an old copy": (replace(WELL, backup=4 * HOUR), Status.WARNING, "copy of the journal: hours 4"),
    "no copy yet": (replace(WELL, backup=None), Status.OK, "0 open"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_state_is_that_of_the_worst_finding(name: str) -> None:
    what, status, text = TABLE[name]
    made = report(what, Limits(), NOW)
    assert made.status == status
    assert text in made.line()
    assert made.line().startswith(f"PROVISIONER {status.name} - ")


def test_the_worst_is_told_first() -> None:
    bad = replace(lane(paused=True), served=False)
    assert "no service serves the spool; lane slurm is paused" in report(bad, Limits(), NOW).line()


def test_performance_data_are_as_the_guidelines_say() -> None:
    open_ = {"deferred": Open(2, NOW - 60)}
    line = report(seen(open=open_, messages={"waiting": 3}), Limits(), NOW).line()
    data = line.partition("| ")[2].split()
    assert all(re.fullmatch(r"[a-z]+=\d+s?(;\d*){3}", one) for one in data)
    assert {"open=2;;;0", "oldest=60s;86400;259200;0", "messages=3;;;0"} <= set(data)


def test_text_of_a_backend_cannot_end_the_line_or_begin_performance_data() -> None:
    what = lane(away="a|b\nc\x1b[31m")
    line = report(what, Limits(), NOW).line()
    assert line.count("|") == 1
    assert line.isprintable()
