"""The service is killed at every point of its protocol; the next one finds nothing lost.

In CI a sample of the points; PROVISIONER_FAULT=whole (`make fault`) takes all of them.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fault import forms, invariant, scenario
from tests.fault.forms import Alone, Hosts
from tests.fault.points import Aim, Nursery

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"

POINTS = {
    *("open_unwritten", "rename_own in Spool._take", "read"),
    *("commit in Intake._commit", "commit in Intake.readmit", "commit in Finisher.reject"),
    *("Finisher.settle", "Finisher.announce", "Finisher.resubmit", "Finisher.redo"),
    *("write in write_beside", "rename in write_beside", "rename in Spool.move"),
    *("write in _replace", "rename in _replace", "unlink in Spool.discard_result"),
    *("rename_new in Spool._put_back", "commit in deferred"),
    *("commit in written", "commit in Lane._save", "commit in Lane._note_breaker"),
    *("ad.observe", "lds.observe", "names.observe", "homes.observe", "slurm-a.observe"),
    *("ad.apply", "lds.apply", "homes.apply", "slurm-a.apply"),
    *("rename_new in RealHost.make", "write in RealHost._copy"),
}
"""What the protocol is made of; all of it has to come, and more may."""

ON_HOSTS = {
    *("commit in Member.join", "commit in Member.leave"),
    *("commit in Jobs._take_up", "commit in Jobs._give_back"),
    *("commit in Receiver.take", "commit in Receiver._go_on"),
    *("lay in Receiver.take", "show in Receiver._go_on"),
}
"""What comes, too, where a service is on several hosts."""

NOT_ON_HOSTS = {"commit in Intake.readmit"}
"""What does not come there: erin's time has come before they all serve."""


@pytest.fixture(
    scope="module",
    params=[Alone, pytest.param(Hosts, marks=[pytest.mark.lab, pytest.mark.root])],
)
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery
) -> scenario.Stage:
    """Return the stage for a form of the service."""
    return scenario.Stage(tmp_path_factory.mktemp("stage"), nursery, request.param(nursery))


def amiss(stage: scenario.Stage) -> list[str]:
    """Return what the scenario should have reached, and did not."""
    problems = invariant.violations(stage.root, scenario.IDS | scenario.LATER_IDS)
    rows = invariant.rows(stage.root)
    for row in rows:
        wanted = scenario.STATES.get(row.writer_id or "", (row.state,))
        if row.state not in wanted:
            problems.append(f"{row.writer_id} is {row.state}, not {' or '.join(wanted)}")
    for request_id, count in invariant.outcomes(stage.root).items():
        [name] = [row.writer_id for row in rows if row.id == request_id]
        if count != 1 + (name == "provision-fay"):
            problems.append(f"{name} ({request_id}) has {count} outcomes")
    problems += forms.turns(stage.root)
    wrong = sum(row.digest == rows[_wrong(rows)].digest for row in rows)
    if wrong != 2:
        problems.append(f"the refused file was judged {wrong} times, not twice")
    return problems + [f"reconcile still had to: {text}" for text in stage.unsettled("reconcile")]


def _wrong(rows: list[invariant.Row]) -> int:
    return next(number for number, row in enumerate(rows) if row.state == "refused" and row.digest)


def backends(root: Path) -> dict[str, Any]:
    """Return the contents of the backends, except numbers, times and secrets."""
    slurm = json.loads((root / "slurm/slurmdbd.json").read_text())
    for row in slurm["assocs"]:
        # Whichever of a user's accounts is made first is the default one.
        del row["default"]
    people = {
        name: sorted(
            dn for dn in _entries(root / name) if re.fullmatch(r"(?i)cn=\w+,ou=people,.*", dn)
        )
        for name in ("ad.json", "lds.json")
    }
    return {
        "homes": sorted(path.name for path in (root / "home").iterdir()),
        "accounts": sorted(slurm["accounts"]),
        "associations": sorted(map(json.dumps, slurm["assocs"])),
        **people,
    }


def _entries(store: Path) -> set[str]:
    """Return the names in an emulated directory, which is a log of what was written."""
    lines = [json.loads(line) for line in store.read_text().splitlines()[1:]]
    return {line["dn"] for line in lines if line["entry"]}


def planned(stage: scenario.Stage, hits: Mapping[str, forms.Hits]) -> list[tuple[str, Aim]]:
    """Return the acts, and the points in each, at which the service is to be killed.

    One process is killed at each point of each act, and at what comes often twice; several are at
    each point in one act, as a lane takes seconds to be taken up.
    """
    plan = [(act, Aim(part, point)) for act in scenario.ACTS for part, point in sorted(hits[act])]
    if not isinstance(stage.form, Alone):
        plan = list({aim: (act, aim) for act, aim in plan}.values())
    elif WHOLE:
        often = [(act, aim) for act, aim in plan if hits[act][aim.part, aim.point] >= 4]
        plan += [(act, replace(aim, hit=2)) for act, aim in often]
    return plan if WHOLE else plan[:: stage.form.sample]


def after(stage: scenario.Stage, act: str, aim: Aim, wanted: Mapping[str, Any]) -> list[str] | None:
    """Kill the service, and play on. Return what is amiss then; None if the point did not come."""
    stage.set_back(act)
    if not stage.play(act, aim).killed:
        return None
    stage.finish(act)
    found = amiss(stage)
    return found if backends(stage.root) == wanted else [*found, "the backends have something else"]


def test_killed_at_every_point_the_service_loses_nothing_and_doubles_nothing(
    stage: scenario.Stage,
) -> None:
    stage.set_back("first")
    hits = {"first": stage.play("first").hits}
    stage.set_second()
    stage.keep("second")
    hits["second"] = stage.play("second").hits
    assert amiss(stage) == [], "without any kill"
    wanted = backends(stage.root)

    reached = {point for act in scenario.ACTS for _, point in hits[act]}
    points = POINTS if isinstance(stage.form, Alone) else (POINTS - NOT_ON_HOSTS) | ON_HOSTS
    missing = {f"{when} {point}" for point in points for when in ("before", "after")} - reached
    assert not missing, "points that were never reached"

    plan = planned(stage, hits)
    killed, silent, problems = 0, [], []
    for act, aim in plan:
        what = f"{act}: {aim}"
        try:
            found = after(stage, act, aim, wanted)
        except Exception as error:  # the other points are tried all the same
            found = ["".join(traceback.format_exception(error))]
        if found is None:
            silent.append(what)
            continue
        killed += 1
        for text in found:
            problems.append(f"{what}: {text}")
            print(problems[-1], flush=True)
    print(f"\npoints {len(reached)}, runs {len(plan)}, killed {killed}, amiss {len(problems)}")
    assert not silent, "points that did not fire"
    assert not problems, "\n".join(problems)
