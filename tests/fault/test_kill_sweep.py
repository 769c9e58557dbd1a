"""The service is killed at every point of its protocol; the next one finds nothing lost.

In CI a sample of the points; PROVISIONER_FAULT=whole (`make fault`) takes all of them.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.fault import invariant, scenario

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"
SAMPLE = 1 if WHOLE else 13
"""One point in so many is killed at."""

POINTS = {
    *("open_unwritten", "rename_new in Spool._take", "read"),
    *("commit in Intake._commit", "commit in Intake.readmit", "commit in Finisher.reject"),
    *("Finisher.settle", "Finisher.announce", "Finisher.resubmit", "Finisher.redo"),
    *("write in Spool._write", "rename in Spool._write", "rename in Spool.move"),
    *("write in _replace", "rename in _replace", "unlink in Spool.discard_result"),
    *("rename_new in Spool._put_back", "commit in Service._drained"),
    *("commit in Lane._settled", "commit in Lane._save", "commit in Lane._note_breaker"),
    *("ad.observe", "lds.observe", "names.observe", "homes.observe", "slurm-a.observe"),
    *("ad.apply", "lds.apply", "homes.apply", "slurm-a.apply"),
    *("rename_new in RealHost.make", "write in RealHost._copy"),
}
"""What the protocol is made of; all of it has to come, and more may."""

ACTS = ("first", "second")


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


def test_killed_at_every_point_the_service_loses_nothing_and_doubles_nothing(
    stage: scenario.Stage,
) -> None:
    stage.set_back("first")
    hits = {"first": stage.play("first")}
    stage.set_second()
    stage.keep("second")
    hits["second"] = stage.play("second")
    assert amiss(stage) == [], "without any kill"
    wanted = backends(stage.root)

    reached = {point for act in ACTS for point in hits[act]}
    missing = {f"{when} {point}" for point in POINTS for when in ("before", "after")} - reached
    assert not missing, "points that were never reached"

    plan = [(act, point, 1) for act in ACTS for point in sorted(hits[act])]
    plan += [(a, point, 2) for a, point, _ in plan if hits[a][point] >= 4] if WHOLE else []
    plan = plan[::SAMPLE]
    killed, silent, problems = 0, [], []
    for act, point, hit in plan:
        stage.set_back(act)
        words = ("run", "--drain", "--patience", scenario.PATIENCE[act])
        ended = stage.nursery.run(stage.root, *words, point=point, hit=hit)
        if not ended.killed:
            silent.append(f"{act}: {point}, hit {hit}")
            continue
        killed += 1
        stage.finish(act)
        problems += [f"{act}: {point}, hit {hit}: {text}" for text in amiss(stage)]
        if backends(stage.root) != wanted:
            problems.append(f"{act}: {point}, hit {hit}: the backends have something else")
    print(f"\npoints {len(reached)}, runs {len(plan)}, killed {killed}, amiss {len(problems)}")
    assert not silent, "points that did not fire"
    assert not problems, "\n".join(problems)
